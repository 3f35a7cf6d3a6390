// SPDX-License-Identifier: Apache-2.0

//go:build faultpoints

package main

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
)

// applierOptions of a binary that tests built: at the n-th fault point, before or after an operation on
// the host, it kills itself, or it pauses. The file that IPMPD_FAULT names says "kill n" or "pause n";
// points are counted while it is there. A pause is told by a file beside it, and ends when that is
// taken away.
func applierOptions() addr.ApplierOptions {
	file := os.Getenv("IPMPD_FAULT")
	var passed atomic.Int64
	point := func(*addr.Op) {
		text, err := os.ReadFile(file)
		if err != nil {
			passed.Store(0)
			return
		}
		what, number, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || passed.Add(1) != n {
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
