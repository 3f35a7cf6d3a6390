// SPDX-License-Identifier: Apache-2.0

//go:build faultpoints

package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
)

// applierOptions of a binary that tests built: it kills itself at the n-th fault point, before or after
// an operation on the host, counted while the file that IPMPD_FAULT names holds n.
func applierOptions() addr.ApplierOptions {
	file := os.Getenv("IPMPD_FAULT")
	var passed atomic.Int64
	point := func(*addr.Op) {
		text, err := os.ReadFile(file)
		if err != nil {
			passed.Store(0)
			return
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && passed.Add(1) == n {
			_ = unix.Kill(unix.Getpid(), unix.SIGKILL)
			select {}
		}
	}
	return addr.ApplierOptions{Before: point, After: point}
}
