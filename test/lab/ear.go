// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	earQueue = 8 << 20 // bytes that wait in the kernel for [Ear.Frames]
	earFrame = 1514
)

// Ear hears every frame that comes in at an interface, from its making on; what leaves there it does not.
// It comes before the fault programs: what they drop is heard too. It is for one goroutine at a time.
type Ear struct {
	fd   int
	name string
}

// Listen at an interface of a namespace. The caller closes it.
func (n *Netns) Listen(ifname string) (*Ear, error) {
	link, err := n.Link(ifname)
	if err != nil {
		return nil, err
	}
	e := &Ear{fd: -1, name: ifname + " of " + n.Name}
	every := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	err = n.Do(func() error {
		// It hears nothing before it is bound, not even of other interfaces.
		if e.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, earQueue),
			unix.SetsockoptInt(e.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.Bind(e.fd, &unix.SockaddrLinklayer{Protocol: every, Ifindex: link.Attrs().Index}))
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", e.name, err), e.Close())
	}
	return e, nil
}

// Listen at the switch's port: to all that the member sends.
func (m *Member) Listen() (*Ear, error) { return m.sw.ns.Listen(m.Name) }

// Frames that came since the last call. That some were missed, as nobody called for too long, is an error.
func (e *Ear) Frames() (frames [][]byte, err error) {
	for {
		frame := make([]byte, earFrame)
		size, _, err := unix.Recvfrom(e.fd, frame, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENETDOWN): // once, where the interface was set down
			continue
		case errors.Is(err, unix.EAGAIN):
			return frames, e.missed()
		case err != nil:
			return nil, fmt.Errorf("listen on %s: %w", e.name, err)
		}
		frames = append(frames, frame[:size])
	}
}

// missed frames since the last call.
func (e *Ear) missed() error {
	stats, err := unix.GetsockoptTpacketStats(e.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", e.name, err)
	}
	if stats.Drops > 0 {
		return Fatal(fmt.Errorf("listen on %s: %d frames missed; ask more often", e.name, stats.Drops))
	}
	return nil
}

// Close it.
func (e *Ear) Close() error {
	if e.fd < 0 {
		return nil
	}
	fd := e.fd
	e.fd = -1
	return unix.Close(fd)
}
