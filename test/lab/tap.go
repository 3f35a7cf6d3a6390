// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

const (
	tapQueue = 20000 // frames that wait in the kernel while the pump is paused
	tapFrame = 2048  // no offloads: a frame is never longer than the MTU and its header
)

// tapCable copies frames between two TAPs, after a delay, or holds them back and releases them.
type tapCable struct {
	far, near *tap

	mu     sync.Mutex
	resume sync.Cond
	paused bool
	off    bool // no carrier: frames are lost, as on a pulled cable
	delay  time.Duration

	pumps sync.WaitGroup
}

type tap struct {
	end
	file *os.File
	fd   int
}

func newTAP(far, near end, delay time.Duration) (*tapCable, error) {
	c := &tapCable{delay: delay}
	c.resume.L = &c.mu
	var err error
	if c.far, err = openTAP(far); err != nil {
		return nil, err
	}
	if c.near, err = openTAP(near); err != nil {
		return nil, errors.Join(err, c.far.file.Close())
	}
	c.pumps.Go(func() { c.pump(c.far, c.near) })
	c.pumps.Go(func() { c.pump(c.near, c.far) })
	return c, nil
}

func openTAP(e end) (*tap, error) {
	t := &tap{end: e}
	err := e.ns.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		req, err := unix.NewIfreq(e.name)
		if err == nil {
			req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("create TAP %s in %s: %w", e.name, e.ns.Name, err), unix.Close(fd))
		}
		t.fd, t.file = fd, os.NewFile(uintptr(fd), e.name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	link, err := e.ns.Link(e.name)
	if err == nil {
		err = e.ns.Netlink.LinkSetHardwareAddr(link, e.mac)
	}
	if err == nil {
		err = e.ns.Netlink.LinkSetTxQLen(link, tapQueue)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up TAP %s: %w", e.name, err), t.file.Close())
	}
	return t, nil
}

type delayed struct {
	frame []byte
	due   int64
}

// pump ends when its TAPs are closed.
func (c *tapCable) pump(from, to *tap) {
	later := make(chan delayed, tapQueue)
	defer close(later)
	c.pumps.Go(func() {
		for d := range later {
			// Go's own timers are no finer than 1 ms.
			ts := unix.NsecToTimespec(d.due)
			for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
			}
			write(to, d.frame)
		}
	})
	buf := make([]byte, tapFrame)
	for {
		n, err := from.file.Read(buf)
		if errors.Is(err, unix.EIO) {
			continue // the interface is down: waits in the next read
		}
		if err != nil {
			return // closed, or the interface was deleted
		}
		delay, off := c.gate()
		switch {
		case off:
		case delay == 0:
			write(to, buf[:n])
		default:
			later <- delayed{append([]byte(nil), buf[:n]...), faults.Now() + int64(delay)}
		}
	}
}

// write loses the frame where the receiving end cannot take it, as a wire does.
func write(to *tap, frame []byte) { _, _ = to.file.Write(frame) }

func (c *tapCable) gate() (delay time.Duration, off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.paused {
		c.resume.Wait()
	}
	return c.delay, c.off
}

// pause holds all frames back until it is called with false; then they come in a burst.
func (c *tapCable) pause(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = on
	c.resume.Broadcast()
}

func (c *tapCable) setDelay(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = d
}

func (c *tapCable) carrier(on bool) error {
	c.mu.Lock()
	c.off = !on
	c.mu.Unlock()
	state := uint32(0)
	if on {
		state = 1
	}
	for _, t := range []*tap{c.far, c.near} {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(t.fd), unix.TUNSETCARRIER, uintptr(unsafe.Pointer(&state))); errno != 0 {
			return fmt.Errorf("set carrier of %s: %w", t.name, errno)
		}
	}
	return nil
}

func (c *tapCable) close() error {
	c.pause(false)
	err := errors.Join(c.far.file.Close(), c.near.file.Close())
	c.pumps.Wait()
	return err
}
