// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
)

// Spec of one UDP flow, in one direction.
type Spec struct {
	Name     string
	From, To *lab.Netns
	// The source need not be there yet, but a route to the destination must; the ports are the
	// flow's own.
	Source, Destination netip.Addr
	// A second host that may have the address instead: it sends the same whenever the source is there,
	// or receives too. nil: none.
	AlsoFrom, AlsoTo *lab.Netns
	// Interval from packet to packet, a multiple of the shortest of all flows; 0 means 100 us.
	Interval time.Duration
	// Of a multicast destination: the interface on which To joins it, and the source that it asks for; the zero
	// Addr is any. Bound: the receiver is bound to that interface too. The sender sends over its eth0.
	On    string
	Only  netip.Addr
	Bound bool
}

// Flow is what became of one.
type Flow struct {
	Spec
	log *shared
}

// Flows is a running child process.
type Flows struct {
	Flows []*Flow
	cmd   *exec.Cmd
	stdin io.Closer
}

const firstPort = 40000

// Start runs flows in a child of this binary, which must call [Child].
func Start(specs ...Spec) (*Flows, error) {
	f := &Flows{cmd: exec.Command("/proc/self/exe")}
	var children []childSpec
	defer func() {
		for _, file := range f.cmd.ExtraFiles {
			file.Close() // the child has its own
		}
	}()
	inherit := func(fd int) int {
		f.cmd.ExtraFiles = append(f.cmd.ExtraFiles, os.NewFile(uintptr(fd), "flow"))
		return 2 + len(f.cmd.ExtraFiles)
	}
	for i, spec := range specs {
		if spec.Interval == 0 {
			spec.Interval = 100 * time.Microsecond
		}
		log, fd, err := newShared()
		if err != nil {
			return nil, err
		}
		child := childSpec{Log: inherit(fd), Interval: spec.Interval}
		source := netip.AddrPortFrom(spec.Source, uint16(firstPort+i))
		destination := netip.AddrPortFrom(spec.Destination, uint16(firstPort+i))
		for _, ns := range []*lab.Netns{spec.To, spec.AlsoTo} {
			if ns == nil {
				continue
			}
			rx, err := socket(ns, destination, netip.AddrPort{})
			if err != nil {
				return nil, fmt.Errorf("receiver of %s: %w", spec.Name, err)
			}
			if spec.Destination.IsMulticast() {
				if err := spec.join(rx); err != nil {
					return nil, fmt.Errorf("receiver of %s: %w", spec.Name, err)
				}
			}
			child.Receive = append(child.Receive, inherit(rx))
		}
		if spec.AlsoFrom != nil {
			// Not connected: that takes the source address, which is elsewhere.
			tx, err := socket(spec.AlsoFrom, source, netip.AddrPort{})
			if err != nil {
				return nil, fmt.Errorf("second sender of %s: %w", spec.Name, err)
			}
			child.Also, child.Destination = inherit(tx), destination
		}
		over := ""
		if spec.Destination.IsMulticast() {
			over = "eth0"
		}
		tx, err := socketOver(spec.From, source, destination, over)
		if err != nil {
			return nil, fmt.Errorf("sender of %s: %w", spec.Name, err)
		}
		child.Send = inherit(tx)
		children = append(children, child)
		f.Flows = append(f.Flows, &Flow{Spec: spec, log: log})
	}
	text, err := json.Marshal(children)
	if err != nil {
		return nil, err
	}
	f.cmd.Env = append(os.Environ(), childEnv+"="+string(text), "GOGC=off", "GODEBUG=asyncpreemptoff=1")
	f.cmd.Stderr = os.Stderr
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // no interrupts from the terminal
	if f.stdin, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start flows: %w", err)
	}
	return f, nil
}

// Stop ends the child. What the flows have logged can still be read.
func (f *Flows) Stop() error {
	if err := f.stdin.Close(); err != nil {
		return err
	}
	if err := f.cmd.Wait(); err != nil {
		return fmt.Errorf("flows: %w", err)
	}
	return nil
}

// Close frees the logs. It stops the child if that runs.
func (f *Flows) Close() error {
	var errs []error
	if f.cmd.ProcessState == nil {
		errs = append(errs, f.Stop())
	}
	for _, flow := range f.Flows {
		errs = append(errs, flow.log.unmap())
	}
	return errors.Join(errs...)
}

func socket(ns *lab.Netns, local, remote netip.AddrPort) (fd int, err error) {
	return socketOver(ns, local, remote, "")
}

// socketOver sends multicast over an interface; "": as routes have it.
func socketOver(ns *lab.Netns, local, remote netip.AddrPort, over string) (fd int, err error) {
	family, level, freebind := unix.AF_INET, unix.SOL_IP, unix.IP_FREEBIND
	if local.Addr().Is6() {
		family, level, freebind = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_FREEBIND
	}
	err = ns.Do(func() error {
		fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("socket: %w", err)
		}
		for _, option := range []struct{ level, name, value int }{
			{level, freebind, 1}, // the address may come later
			{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
			{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32 << 20}, // seconds of packets
		} {
			if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
				return fmt.Errorf("socket option %d: %w", option.name, err)
			}
		}
		if err := unix.Bind(fd, sockaddr(local)); err != nil {
			return fmt.Errorf("bind %s: %w", local, err)
		}
		return nil
	})
	if err == nil && over != "" {
		link, lerr := ns.Link(over)
		if lerr != nil {
			return -1, lerr
		}
		if local.Addr().Is4() {
			err = unix.SetsockoptIPMreqn(fd, level, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(link.Attrs().Index)})
		} else {
			err = unix.SetsockoptInt(fd, level, unix.IPV6_MULTICAST_IF, link.Attrs().Index)
		}
	}
	if err == nil && remote.IsValid() {
		if err = unix.Connect(fd, sockaddr(remote)); err != nil {
			err = fmt.Errorf("connect %s: %w", remote, err)
		}
	}
	return fd, err
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
