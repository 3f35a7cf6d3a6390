// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/vm/plan"
)

// mounts are those of an ordinary host, and the environment of its root.
func mounts() error {
	for _, m := range []struct{ kind, path, data string }{
		{"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"devtmpfs", "/dev", ""},
		{"tmpfs", "/run", ""}, {"tmpfs", "/tmp", ""}, {"bpf", "/sys/fs/bpf", "mode=0700"},
		{"cgroup2", "/sys/fs/cgroup", ""}, {"debugfs", "/sys/kernel/debug", ""},
	} {
		if err := os.MkdirAll(m.path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.path, m.kind, 0, m.data); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.path, err)
		}
	}
	if err := errors.Join(os.MkdirAll("/var", 0o755), os.Symlink("/run", "/var/run")); err != nil { // teamd is not even to be asked its version without
		return err
	}
	for _, pair := range [][2]string{{"PATH", "/bin"}, {"HOME", "/root"}, {"CI", "true"}} {
		if err := os.Setenv(pair[0], pair[1]); err != nil {
			return err
		}
	}
	return loopback()
}

func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(uint16(net.FlagUp))
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// port opens a serial port that passes on what it is given, byte for byte.
func port(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", path, err)
	}
	t.Oflag &^= unix.OPOST
	t.Cflag = t.Cflag&^unix.CBAUD | unix.B115200
	return f, unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
}

// drain waits until the port has sent everything.
func drain(f *os.File) { _ = unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1) } // off it goes either way

// bug matches what a kernel says of itself when something is wrong with it.
var bug = regexp.MustCompile(`WARNING:|BUG:|Oops|KASAN|UBSAN|Call Trace|INFO: task .* blocked|suspicious RCU|scheduling while atomic|unregister_netdevice: waiting|invalid opcode`)

// trouble prints lines of the kernel's log that tell of a bug, and the five after each.
func trouble(out *os.File) error {
	buf := make([]byte, 4<<20)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	if err != nil {
		return fmt.Errorf("read the kernel's log: %w", err)
	}
	more := 0
	for line := range strings.Lines(string(buf[:n])) {
		if bug.MatchString(line) {
			more = 6
		}
		if more > 0 {
			more--
			fmt.Fprintln(out, plan.Trouble+strings.TrimSpace(line))
		}
	}
	return nil
}
