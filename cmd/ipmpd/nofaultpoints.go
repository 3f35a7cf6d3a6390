// SPDX-License-Identifier: Apache-2.0

//go:build !faultpoints

package main

import "github.com/ipmpd/ipmpd/pkg/addr"

// applierOptions of the daemon.
func applierOptions() addr.ApplierOptions { return addr.ApplierOptions{} }
