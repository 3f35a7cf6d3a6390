// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const bpffs = "/sys/fs/bpf"

// pinFolder is where this daemon's maps and links are pinned: one folder a network namespace
// (contract section 2). Where /sys/fs/bpf is no bpffs, as behind `ip netns exec`, one is mounted.
func pinFolder() (string, error) {
	dir, mounted, err := pinPath()
	if err != nil {
		return "", err
	}
	if !mounted {
		if err := unix.Mount("bpf", bpffs, "bpf", 0, "mode=0700"); err != nil {
			return "", fmt.Errorf("mount a bpffs on %s: %w", bpffs, err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make pin folder: %w", err)
	}
	return dir, nil
}

// pinPath names the folder, and says whether a bpffs is mounted there.
func pinPath() (dir string, mounted bool, err error) {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return "", false, fmt.Errorf("look at the network namespace: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(bpffs, &fs); err != nil {
		return "", false, fmt.Errorf("look at %s: %w", bpffs, err)
	}
	return filepath.Join(bpffs, "ipmpd", fmt.Sprint(ns.Ino)), fs.Type == unix.BPF_FS_MAGIC, nil
}
