// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hang puts the programs on all members in another mode.
func (r *rig) hang(t *testing.T, mode Mode) {
	t.Helper()
	for i := range r.hooks {
		require.NoError(t, r.hooks[i].Detach())
		var err error
		r.hooks[i], err = r.o.Attach(r.ifindex(i), mode)
		require.NoError(t, err)
	}
}

// arrive sends a frame from the far end of member i's cable.
func (r *rig) arrive(t *testing.T, i int, frame []byte) {
	t.Helper()
	packets(t, r.links[i].Attrs().ParentIndex)(frame)
}

// The kernel takes a tag off before the tc program runs; PROG_TEST_RUN does not.
func TestTagOnTheWire(t *testing.T) {
	const n = 200
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			needRoot(t)
			needModes(t, mode)
			r := newRig(t, true)
			r.hang(t, mode)
			r.begin(t, 0, n, time.Millisecond, 0, 0)
			frame := r.goodProbe(0, 0, n).frame()
			inst := r.inst(0, 0)
			other := func() uint64 {
				traffic, err := r.o.Traffic(r.number(0))
				require.NoError(t, err)
				return traffic.Other
			}
			for i, tci := range []uint16{5, 0xe005} {
				r.arrive(t, 0, tagged(frame, tci))
				require.Eventually(t, func() bool { return other() == uint64(i+1) }, deadline, time.Millisecond)
				require.Zero(t, atomic.LoadUint32(&inst.Replies), "tci %#x", tci)
			}
			r.arrive(t, 0, tagged(frame, 0xe000))
			require.Eventually(t, func() bool { return atomic.LoadUint32(&inst.Replies) == 1 }, deadline, time.Millisecond)
			require.EqualValues(t, 2, other())
		})
	}
}

// burstFrames is how many frames a burst has room for, each of the size of an IPv4 probe.
const (
	burstFrames = 12
	burstFrame  = 14 + 20 + 8 + 16
)

// burst has frames arrive on members in one go, as after a stall: they are all in the receive
// queues before any is looked at. A program on the way out of a device of its own puts them there,
// for the kernel takes no interrupts' work before that is through.
type burst struct {
	frames *ebpf.Map
	device netlink.Link
	count  uint32
}

func (r *rig) burst(t *testing.T) *burst {
	t.Helper()
	frames, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8 + burstFrame + 6, MaxEntries: burstFrames})
	require.NoError(t, err)
	t.Cleanup(func() { frames.Close() })
	code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	for i := range burstFrames {
		code = append(code,
			asm.StoreImm(asm.RFP, -4, int64(i), asm.Word),
			asm.LoadMapPtr(asm.R1, frames.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "out"),
			asm.Mov.Reg(asm.R7, asm.R0),
			asm.LoadMem(asm.R8, asm.R7, 0, asm.Word),
			asm.JEq.Imm(asm.R8, 0, "out"),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Imm(asm.R2, 0),
			asm.Mov.Reg(asm.R3, asm.R7),
			asm.Add.Imm(asm.R3, 8),
			asm.Mov.Imm(asm.R4, burstFrame),
			asm.Mov.Imm(asm.R5, 0),
			asm.FnSkbStoreBytes.Call(),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Reg(asm.R2, asm.R8),
			asm.Mov.Imm(asm.R3, 0),
			asm.FnCloneRedirect.Call(),
		)
	}
	code = append(code, asm.Mov.Imm(asm.R0, tcStolen).WithSymbol("out"), asm.Return())
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "MIT", Instructions: code})
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	b := &burst{frames: frames, device: r.veth(t, "burst")}
	idle, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "MIT", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, -1), asm.Return()}})
	require.NoError(t, err)
	t.Cleanup(func() { idle.Close() })
	r.foreign(t, ModeClsact, b.device.Attrs().Index, idle, p)
	return b
}

func (b *burst) add(t *testing.T, ifindex int, frame []byte) {
	t.Helper()
	require.Len(t, frame, burstFrame)
	value := make([]byte, 8+burstFrame+6)
	binary.NativeEndian.PutUint32(value, uint32(ifindex))
	copy(value[8:], frame)
	require.NoError(t, b.frames.Put(b.count, value))
	b.count++
}

func (b *burst) send(t *testing.T) {
	t.Helper()
	packets(t, b.device.Attrs().Index)(make([]byte, burstFrame))
	for i := range b.count {
		require.NoError(t, b.frames.Put(i, make([]byte, 8+burstFrame+6)))
	}
	b.count = 0
}

// After a stall member 1's queue is drained before member 0's, whose replies are there as well: a
// suspicion, but no verdict. Without them it is one.
func TestStall(t *testing.T) {
	const rounds = burstFrames / 2
	for _, without := range []bool{false, true} {
		// Generic XDP takes no frames that a tc program has redirected, as the burst's are.
		for _, mode := range []Mode{ModeTCX, ModeClsact, ModeXDP} {
			t.Run(fmt.Sprintf("%s, without timer %v", mode, without), func(t *testing.T) {
				needRoot(t)
				needModes(t, mode)
				r := newRig(t, without)
				r.hang(t, mode)
				r.pin(t)
				s := r.scenario(t, 0)
				s.warm(t)
				b := r.burst(t)
				// All begin before any is answered.
				stall := func(members ...int) uint32 {
					for range rounds {
						s.round(t, 0)
					}
					for _, i := range members {
						for n := s.next - rounds; n < s.next; n++ {
							b.add(t, s.links[i].Attrs().ParentIndex, s.goodProbe(i, 0, n).frame())
						}
					}
					b.send(t)
					last := s.next - 1
					for _, i := range members {
						require.Eventually(t, func() bool { return atomic.LoadUint32(&s.inst(i, 0).Acked) == last }, deadline, time.Millisecond)
					}
					return last
				}
				stall(1, 0)
				require.NotZero(t, s.inst(0, 0).Suspicions, "no suspicion arose: this is no stall")
				s.round(t, 0, 0, 1)
				s.usable(t)

				stall(1)
				s.round(t, 0, 1)
				s.confirm(t)
				require.EqualValues(t, EventVerdict, s.event(t).Kind)
			})
		}
	}
}

// Programs on a live interface: what the switch redirects leaves by the survivor, and a probe sent
// past the queueing discipline leaves by its own member whatever the word says.
func TestProbesBypassTheSwitch(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			needRoot(t)
			needModes(t, mode)
			r := newRig(t, true)
			r.hang(t, mode)
			ChangeWord(r.track(0), 0, r.bit(0))
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			defer unix.Close(fd)
			require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1))
			heard, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			defer unix.Close(heard)
			require.NoError(t, unix.Bind(heard, &unix.SockaddrLinklayer{
				Ifindex: r.links[0].Attrs().ParentIndex, Protocol: networkOrder(unix.ETH_P_ALL)}))
			require.NoError(t, unix.SetsockoptTimeval(heard, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
			frame := tcp4(targetMAC(0), r.mac(0))
			counted := r.counted(t, func() {
				require.NoError(t, unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: r.ifindex(0), Protocol: networkOrder(etherIPv4)}))
				b := make([]byte, 200)
				n, _, err := unix.Recvfrom(heard, b, 0)
				require.NoError(t, err)
				require.Equal(t, frame, b[:n])
			})
			require.Empty(t, counted)
		})
	}
}
