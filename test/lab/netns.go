// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// netnsDir is where `ip netns` looks.
const netnsDir = "/run/netns"

// Netns is a named network namespace.
type Netns struct {
	Name string
	// Netlink speaks to the namespace from any thread.
	Netlink *netlink.Handle
	fd      netns.NsHandle
}

// newNetns makes a namespace and mounts it where `ip netns exec NAME` finds it.
func newNetns(name string) (*Netns, error) {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return nil, fmt.Errorf("make %s: %w", netnsDir, err)
	}
	path := filepath.Join(netnsDir, name)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("close %s: %w", path, err)
	}
	// The thread is never given back: it dies with its namespace.
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- fmt.Errorf("unshare network namespace: %w", err)
			return
		}
		self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		if err := unix.Mount(self, path, "none", unix.MS_BIND, ""); err != nil {
			made <- fmt.Errorf("mount %s: %w", path, err)
			return
		}
		made <- nil
	}()
	if err := <-made; err != nil {
		return nil, errors.Join(err, removeNetns(name))
	}
	n := &Netns{Name: name}
	if n.fd, err = netns.GetFromPath(path); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), removeNetns(name))
	}
	if n.Netlink, err = netlink.NewHandleAt(n.fd, unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("netlink in %s: %w", name, err), n.close())
	}
	lo, err := n.Netlink.LinkByName("lo")
	if err == nil {
		err = n.Netlink.LinkSetUp(lo)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set lo up in %s: %w", name, err), n.close())
	}
	return n, nil
}

func (n *Netns) close() error {
	if n.Netlink != nil {
		n.Netlink.Close()
	}
	return errors.Join(n.fd.Close(), removeNetns(n.Name))
}

func removeNetns(name string) error {
	path := filepath.Join(netnsDir, name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Do runs fn on a thread in the namespace. Sockets and files that fn opens stay there; fn must not
// start goroutines that rely on the namespace.
func (n *Netns) Do(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("function ended its goroutine")
		defer func() { done <- err }()
		runtime.LockOSThread()
		home, herr := netns.Get()
		if herr != nil {
			err = fmt.Errorf("get own namespace: %w", herr)
			return // locked: the thread dies
		}
		defer home.Close()
		if serr := netns.Set(n.fd); serr != nil {
			err = fmt.Errorf("enter %s: %w", n.Name, serr)
			return
		}
		err = fn()
		if netns.Set(home) == nil {
			runtime.UnlockOSThread() // else the goroutine ends locked and the thread dies
		}
	}()
	return <-done
}

// Enter moves the calling thread for good. It must be locked to its goroutine, and die with it.
func (n *Netns) Enter() error {
	if err := netns.Set(n.fd); err != nil {
		return fmt.Errorf("enter %s: %w", n.Name, err)
	}
	return nil
}

// Sysctl writes below /proc/sys/net, for example Sysctl("ipv4/ip_forward", "1").
func (n *Netns) Sysctl(key, value string) error {
	return n.Do(func() error {
		if err := os.WriteFile(filepath.Join("/proc/sys/net", key), []byte(value), 0); err != nil {
			return fmt.Errorf("sysctl in %s: %w", n.Name, err)
		}
		return nil
	})
}

// Link finds an interface.
func (n *Netns) Link(name string) (netlink.Link, error) {
	link, err := n.Netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find %s in %s: %w", name, n.Name, err)
	}
	return link, nil
}

// AddAddr adds "192.0.2.1/24" and the like; IPv6 without duplicate detection.
func (n *Netns) AddAddr(ifname string, cidrs ...string) error {
	link, err := n.Link(ifname)
	if err != nil {
		return err
	}
	for _, cidr := range cidrs {
		addr, err := netlink.ParseAddr(cidr)
		if err != nil {
			return fmt.Errorf("parse %s: %w", cidr, err)
		}
		if addr.IP.To4() == nil {
			addr.Flags |= unix.IFA_F_NODAD
		}
		if err := n.Netlink.AddrReplace(link, addr); err != nil {
			return fmt.Errorf("add %s to %s in %s: %w", cidr, ifname, n.Name, err)
		}
	}
	return nil
}

// DelAddr removes addresses that AddAddr, or anything else, has added.
func (n *Netns) DelAddr(ifname string, cidrs ...string) error {
	link, err := n.Link(ifname)
	if err != nil {
		return err
	}
	for _, cidr := range cidrs {
		addr, err := netlink.ParseAddr(cidr)
		if err != nil {
			return fmt.Errorf("parse %s: %w", cidr, err)
		}
		if err := n.Netlink.AddrDel(link, addr); err != nil {
			return fmt.Errorf("delete %s from %s in %s: %w", cidr, ifname, n.Name, err)
		}
	}
	return nil
}
