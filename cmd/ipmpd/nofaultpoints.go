// SPDX-License-Identifier: Apache-2.0

//go:build !faultpoints

package main

import "github.com/ipmpd/ipmpd/pkg/addr"

// applierOptions of the daemon, and of a release without it.
func applierOptions() addr.ApplierOptions { return addr.ApplierOptions{} }
