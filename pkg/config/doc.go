// SPDX-License-Identifier: Apache-2.0

// Package config turns the configuration file into plain structs.
//
// It owns the YAML of docs/contract.md section 3: its keys, its defaults (defaults.go), its limits
// and every error that the file alone can show, each with its place. What the host adds (members
// that are bridge ports, MTUs that differ) is judged by CheckHost, on facts that the caller brings.
//
//	bytes ──► node.go ──► keys.go ──► check.go, address.go, route.go ──► *Config
//	          syntax      one key     what keys mean together
//	 ▲
//	solaris*.go ◄── etc/hostname.*, etc/hosts, etc/netmasks, etc/default/mpathd
//
// The Solaris files (spec section 8.2) become YAML first, the same that `ipmpd import` prints.
//
// It never asks the host, never logs and knows no other package: cmd/ipmpd translates its structs
// for pkg/group, pkg/detect and pkg/addr. A key whose feature is not built yet is refused as such.
// All functions may be called concurrently.
package config
