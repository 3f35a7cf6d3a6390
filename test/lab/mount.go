// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// BPFFS is where programs and maps can be pinned.
type BPFFS int

const (
	// KeptBPFFS outlives the daemon, as on most hosts.
	KeptBPFFS BPFFS = iota
	// OwnBPFFS: every daemon has a mount namespace of its own without one, as behind `ip netns exec` and
	// in containers; what it mounts there goes with it.
	OwnBPFFS
	// NoBPFFS: there is no /sys/fs/bpf to mount one on.
	NoBPFFS
)

// mountNS is a mount namespace with the host's own /sys and a bpffs of the lab's: pins outlive a
// daemon and go with the lab, also when the lab is killed, because only this process holds it.
type mountNS struct{ file *os.File }

func newMountNS(host *Netns, pins BPFFS) (*mountNS, error) {
	m := &mountNS{}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never given back: the thread dies with its namespaces
		done <- m.make(host, pins)
	}()
	if err := <-done; err != nil {
		return nil, fmt.Errorf("mount namespace: %w", err)
	}
	return m, nil
}

func (m *mountNS) make(host *Netns, pins BPFFS) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Setns(int(host.fd), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", host.Name, err)
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	kind, at := "bpf", "/sys/fs/bpf"
	if pins == NoBPFFS {
		kind, at = "tmpfs", "/sys/fs"
	}
	if err := unix.Mount(kind, at, kind, 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount %s: %w", at, err)
	}
	var err error
	m.file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/mnt", unix.Gettid()))
	return err
}

// hideBPFFS gives the calling thread, and what it starts, a mount namespace without the lab's bpffs.
func hideBPFFS() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Unmount("/sys/fs/bpf", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount bpffs: %w", err)
	}
	return nil
}

func (m *mountNS) close() error { return m.file.Close() }

// InHost runs fn on a thread in the host's network namespace and in the mount namespace that its
// daemons live in: /sys and /sys/fs/bpf are theirs. The thread ends with fn.
func (l *Lab) InHost(fn func() error) error { return onThread(l.enterHost, fn) }

// onThread runs fn on a thread that has entered somewhere for good and ends with fn.
func onThread(enter, fn func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("function ended its goroutine")
		defer func() { done <- err }()
		runtime.LockOSThread()
		if err = enter(); err == nil {
			err = fn()
		}
	}()
	return <-done
}

// enterHost moves the calling thread for good.
func (l *Lab) enterHost() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := unix.Setns(int(l.Host.fd), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", l.Host.Name, err)
	}
	if err := unix.Setns(int(l.mounts.file.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter mount namespace: %w", err)
	}
	// Entering moves the thread to the new root; relative paths should go on to work.
	return unix.Chdir(wd)
}
