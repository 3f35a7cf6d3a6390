// SPDX-License-Identifier: Apache-2.0

//go:build faultpoints

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
)

// applierOptions of a binary that tests built: at the n-th fault point, before or after an operation on
// the host, it kills itself, or it pauses. The file that IPMPD_FAULT names says "kill n" or "pause n" and
// any third word; points are counted while it says the same, and of one kind of operation only where a fourth word
// names that. A pause is told by a file beside it, and ends when that is
// taken away.
func applierOptions() addr.ApplierOptions {
	file := os.Getenv("IPMPD_FAULT")
	var mu sync.Mutex
	var counted string
	var passed int
	point := func(op *addr.Op) {
		text, err := os.ReadFile(file)
		if err != nil {
			return
		}
		var what, serial, kind string
		var n int
		_, _ = fmt.Sscan(string(text), &what, &n, &serial, &kind)
		if kind != "" && kind != op.Kind.String() {
			return
		}
		mu.Lock()
		if counted != string(text) {
			counted, passed = string(text), 0
		}
		passed++
		is := passed
		mu.Unlock()
		if is != n {
			return
		}
		switch what {
		case "kill":
			_ = unix.Kill(unix.Getpid(), unix.SIGKILL)
			select {}
		case "pause":
			pauseWhile(file + ".paused")
		}
	}
	return addr.ApplierOptions{Before: point, After: point}
}

// pauseWhile makes a file and returns when it is gone.
func pauseWhile(file string) {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		panic(err) // the test would wait in vain
	}
	for {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
