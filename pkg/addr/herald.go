// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// frameRoom holds a frame that tells everybody of an address of either family.
const frameRoom = etherLen + ipv6Len + naLen

// Herald tells everybody of addresses for which no batch was prepared: it has room for one burst, builds
// the frames when they are needed and writes nothing to this host. Not safe for concurrent use.
type Herald struct {
	a      *Applier
	buf    [FirstBurst * frameRoom]byte
	frames [FirstBurst]Frame
	full   int // frames that wait
	rate   bool
	burst  burst
	now    unix.Timespec
	result Result
	onWire Op
}

// NewHerald sends by the applier's sender.
func NewHerald(a *Applier) *Herald {
	h := &Herald{a: a, onWire: Op{Why: "announcement"}}
	h.burst.room(FirstBurst)
	return h
}

// Begin a list. Without a limit on the rate of announcements all of it is sent, else the first FirstBurst.
func (h *Herald) Begin(unlimited bool) {
	h.full, h.rate, h.result = 0, !unlimited, Result{}
	h.a.before(&h.onWire)
}

// Add an address at its new owner. The first one leaves at once, alone: it is as fast with a thousand as
// with one. Nothing is allocated.
func (h *Herald) Add(ip netip.Addr, link int, mac MAC, router bool) {
	if h.rate && h.result.Frames+h.full >= FirstBurst {
		return
	}
	at := h.full * frameRoom
	h.frames[h.full] = Frame{Link: link, Address: ip, Data: AppendFrame(h.buf[at:at:at+frameRoom], ip, mac, router, Neighbor{})}
	h.full++
	if h.full == len(h.frames) || h.result.FirstAnnouncement == 0 {
		h.send()
	}
}

// End says what was sent, and when. Frames are those added, from the first on, as long as none fails.
func (h *Herald) End() Result {
	h.send()
	h.a.after(&h.onWire)
	return h.result
}

func (h *Herald) send() {
	if h.full == 0 {
		return
	}
	h.burst.set(h.frames[:h.full])
	n, _, _ := h.burst.send(h.a.sender.fd, 0, h.full)
	h.full = 0
	if n == 0 {
		return
	}
	_, _, _ = unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&h.now)), 0)
	h.result.Frames += n
	h.result.Announced = h.now.Nano()
	if h.result.FirstAnnouncement == 0 {
		h.result.FirstAnnouncement = h.result.Announced
	}
}
