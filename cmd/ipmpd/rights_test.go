// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
)

const plainConfig = `groups:
  unrealgrp1:
    detection-time: 20ms
    targets: [192.0.2.1]
    interfaces:
      hme0: {test: [192.0.2.11/24]}
      hme1: {test: [192.0.2.12/24]}
    addresses: [192.0.2.10/24]
`

func TestMissingRights(t *testing.T) {
	const all = ^uint64(0)
	without := func(caps ...uint) uint64 {
		has := all
		for _, c := range caps {
			has &^= 1 << c
		}
		return has
	}
	const what = "; run it as root, or name them in CapabilityBoundingSet= and AmbientCapabilities= of its unit"
	for _, row := range []struct {
		effective uint64
		want      string
	}{
		{all, ""},
		{without(unix.CAP_NET_RAW), "this process lacks CAP_NET_RAW (probes)" + what},
		{without(unix.CAP_SYS_ADMIN), ""},
		{without(unix.CAP_BPF, unix.CAP_PERFMON), ""},
		{without(unix.CAP_SYS_ADMIN, unix.CAP_BPF), "this process lacks CAP_BPF (BPF programs)" + what},
		{0, "this process lacks CAP_NET_ADMIN (addresses and routes), CAP_NET_RAW (probes), " +
			"CAP_BPF (BPF programs), CAP_PERFMON (BPF programs)" + what},
	} {
		err := missingRights(row.effective)
		if row.want == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, row.want)
		}
	}
}

func TestAdvised(t *testing.T) {
	require.EqualError(t, advised(fmt.Errorf("a; b")), "a; b")
	require.EqualError(t, advised(fmt.Errorf("open: %w", syscall.EMFILE)), "open: too many open files; raise LimitNOFILE=")
	require.EqualError(t, advised(fmt.Errorf("odd")), "odd; look at the kernel's log and tell the makers of ipmpd")
	require.ErrorIs(t, advised(fmt.Errorf("open: %w", syscall.EPERM)), syscall.EPERM)
}

// The real thing, without each of them in turn: it is named, and nothing is touched. With exactly
// those that are named it runs.
func TestRightsInALab(t *testing.T) {
	l, binary := startLab(t, lab.Options{})
	file := filepath.Join(l.Dir, "rights.yaml")
	require.NoError(t, os.WriteFile(file, []byte(plainConfig), 0o600))
	settled(t, l)
	before := hostState(t, l)
	for name, drop := range map[string][]uintptr{
		"CAP_NET_ADMIN (addresses and routes)": {unix.CAP_NET_ADMIN},
		"CAP_NET_RAW (probes)":                 {unix.CAP_NET_RAW},
		"CAP_BPF (BPF programs)":               {unix.CAP_BPF, unix.CAP_SYS_ADMIN},
		"CAP_PERFMON (BPF programs)":           {unix.CAP_PERFMON, unix.CAP_SYS_ADMIN},
	} {
		code, stdout, stderr := inHost(t, l, binary, drop, "run", "--config", file, "--socket", filepath.Join(l.Dir, "s"))
		require.Equal(t, 1, code, name)
		require.Empty(t, stdout, name)
		require.Equal(t, "ipmpd: this process lacks "+name+"; run it as root, or name them in CapabilityBoundingSet= and "+
			"AmbientCapabilities= of its unit\n", stderr)
		require.Equal(t, before, hostState(t, l), "%s: the host was touched", name)
	}

	var drop []uintptr
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		switch c {
		case unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON:
		default:
			drop = append(drop, c)
		}
	}
	script := filepath.Join(l.Dir, "few")
	var set []string
	for _, c := range drop {
		set = append(set, fmt.Sprintf("-cap_%d", c))
	}
	require.NoError(t, os.WriteFile(script, []byte(fmt.Sprintf("#!/bin/sh\nexec setpriv --bounding-set=%s %s \"$@\"\n",
		strings.Join(set, ","), binary)), 0o700))
	d := startDaemon(t, l, script, plainConfig)
	require.NoError(t, d.WaitReady(20*time.Second))
	require.NoError(t, l.Members[0].CutSilent())
	until(t, l, d, "failover", func(g lab.GroupStatus) bool { return addressesOf(g) == "192.0.2.10/24 up hme1" })
	require.NoError(t, d.Stop())
}
