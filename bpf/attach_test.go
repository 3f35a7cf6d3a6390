// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pinFolder is on a bpffs that only this thread sees.
func pinFolder(t *testing.T) string {
	t.Helper()
	runtime.LockOSThread()
	require.NoError(t, unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS))
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	dir := t.TempDir()
	require.NoError(t, unix.Mount("bpf", dir, "bpf", 0, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return filepath.Join(dir, "ipmpd")
}

// passing is a foreign tc program that counts in a map and lets the next one run.
func passing(t *testing.T) (*ebpf.Program, func() uint64) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "MIT", Instructions: asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, -1).WithSymbol("out"),
		asm.Return(),
	}})
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p, func() (n uint64) {
		require.NoError(t, m.Lookup(uint32(0), &n))
		return n
	}
}

// member makes an interface the one member of group 0, in a namespace of its own.
func (s *space) member(t *testing.T, o *Objects, l netlink.Link) {
	t.Helper()
	var hw mac
	copy(hw[:], l.Attrs().HardwareAddr)
	require.NoError(t, o.SetMember(0, Member{Ifindex: uint32(l.Attrs().Index), Mac: hw}))
	track := &o.Tracks()[TrackNumber(0, 0)]
	track.Members = 1
	ChangeWord(track, 1, 0)
}

// packets sends raw frames from an interface, through its egress hooks.
func packets(t *testing.T, ifindex int) func(frame []byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return func(frame []byte) {
		t.Helper()
		to := &unix.SockaddrLinklayer{Ifindex: ifindex, Protocol: networkOrder(uint16(frame[12])<<8 | uint16(frame[13]))}
		require.NoError(t, unix.Sendto(fd, frame, 0, to))
	}
}

// tcp4 is any packet of other people's.
func tcp4(dst, src mac) []byte {
	return ether(dst, src, etherIPv4, ipv4(addr("192.0.2.10"), addr("192.0.2.1"), protoTCP, 0, nil, tcp(make([]byte, 40))))
}

// seesBoth asserts that the programs of a member see what comes in and goes out: it is not usable,
// so egress counts what it cannot send elsewhere.
func (s *space) seesBoth(t *testing.T, o *Objects, l netlink.Link, want bool) {
	t.Helper()
	s.member(t, o, l)
	ChangeWord(&o.Tracks()[0], 0, 1)
	me := mac(l.Attrs().HardwareAddr)
	other := func() (uint64, uint64) {
		traffic, err := o.Traffic(0)
		require.NoError(t, err)
		c, err := o.Counters()
		require.NoError(t, err)
		return traffic.Other, c["egress_nowhere"]
	}
	in, out := other()
	packets(t, l.Attrs().ParentIndex)(tcp4(me, targetMAC(0)))
	packets(t, l.Attrs().Index)(tcp4(targetMAC(0), me))
	n := uint64(0)
	if want {
		n = 1
	}
	// A busy machine takes its time to deliver a frame.
	seen := func() []uint64 {
		in2, out2 := other()
		return []uint64{in2 - in, out2 - out}
	}
	for end := time.Now().Add(5 * time.Second); want && !slices.Equal(seen(), []uint64{n, n}) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	require.Equal(t, []uint64{n, n}, seen(), "in, out")
}

var modes = []Mode{ModeTCX, ModeClsact, ModeXDP, ModeXDPGeneric}

func TestAttachModes(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			o := loadForTest(t, Options{})
			needModes(t, mode)
			s := newSpace(t)
			l := s.veth(t, "m0")
			a, err := o.Attach(l.Attrs().Index, mode)
			require.NoError(t, err)
			require.Equal(t, mode, a.Mode)
			s.seesBoth(t, o, l, true)
			require.NoError(t, a.Detach())
			s.seesBoth(t, o, l, false)
		})
	}
}

func TestAttachAuto(t *testing.T) {
	o := loadForTest(t, Options{})
	s := newSpace(t)
	l := s.veth(t, "m0")
	a, err := o.AttachAuto(l.Attrs().Index)
	require.NoError(t, err)
	require.Contains(t, []Mode{ModeTCX, ModeClsact}, a.Mode)
	s.seesBoth(t, o, l, true)
	require.NoError(t, a.Detach())
}

func TestAttachErrors(t *testing.T) {
	o := loadForTest(t, Options{})
	s := newSpace(t)
	for _, mode := range modes {
		_, err := o.Attach(4711, mode)
		require.ErrorContains(t, err, "4711", mode)
	}
	_, err := o.Attach(s.veth(t, "m0").Attrs().Index, "netfilter")
	require.ErrorContains(t, err, `no such mode "netfilter"`)
}

// Foreign programs that were there before still run, also for what we redirect; they stay when we
// go.
func TestForeignPrograms(t *testing.T) {
	for _, foreign := range []Mode{ModeTCX, ModeClsact} {
		for _, mode := range modes {
			if foreign == ModeClsact && mode != ModeClsact {
				continue // tcx runs before clsact: a redirected frame meets the survivor's filters
			}
			t.Run(fmt.Sprintf("%s on %s", mode, foreign), func(t *testing.T) {
				o := loadForTest(t, Options{})
				needModes(t, mode, foreign)
				s := newSpace(t)
				l := s.veth(t, "m0")
				in, inCount := passing(t)
				out, outCount := passing(t)
				s.foreign(t, foreign, l.Attrs().Index, in, out)
				a, err := o.Attach(l.Attrs().Index, mode)
				require.NoError(t, err)
				s.seesBoth(t, o, l, true)
				require.Eventually(t, func() bool { return inCount() == 1 }, 5*time.Second, time.Millisecond)
				require.Eventually(t, func() bool { return outCount() == 1 }, 5*time.Second, time.Millisecond)
				// A redirected frame is seen by it, and by no survivor's.
				s.redirects(t, o, l)
				require.Eventually(t, func() bool { return outCount() == 2 }, 5*time.Second, time.Millisecond)
				require.NoError(t, a.Detach())
				s.seesBoth(t, o, l, false)
				require.Eventually(t, func() bool { return inCount() == 2 }, 5*time.Second, time.Millisecond)
				require.Eventually(t, func() bool { return outCount() == 3 }, 5*time.Second, time.Millisecond)
			})
		}
	}
}

func (s *space) foreign(t *testing.T, mode Mode, ifindex int, in, out *ebpf.Program) {
	t.Helper()
	if mode == ModeTCX {
		for at, p := range map[ebpf.AttachType]*ebpf.Program{ebpf.AttachTCXIngress: in, ebpf.AttachTCXEgress: out} {
			l, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: p, Attach: at})
			require.NoError(t, err)
			t.Cleanup(func() { l.Close() })
		}
		return
	}
	require.NoError(t, s.nl.QdiscAdd(&netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}))
	for parent, p := range map[uint32]*ebpf.Program{netlink.HANDLE_MIN_INGRESS: in, netlink.HANDLE_MIN_EGRESS: out} {
		require.NoError(t, s.nl.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: ifindex, Parent: parent, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL},
			Fd:          p.FD(), Name: "foreign", DirectAction: true}))
	}
}

// redirects one packet from l, member 0, to a second member made for it.
func (s *space) redirects(t *testing.T, o *Objects, l netlink.Link) {
	t.Helper()
	to := s.veth(t, "m1")
	hw := mac(to.Attrs().HardwareAddr)
	require.NoError(t, o.SetMember(1, Member{Ifindex: uint32(to.Attrs().Index), Bit: 1, Mac: hw}))
	track := &o.Tracks()[0]
	track.Members, track.Member[1] = 3, 1
	require.NoError(t, o.SetSurvivors(InstanceNumber(0, 0), []uint8{1}))
	ChangeWord(track, 2, 1)
	heard, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(heard)
	require.NoError(t, unix.Bind(heard, &unix.SockaddrLinklayer{Ifindex: to.Attrs().ParentIndex, Protocol: networkOrder(unix.ETH_P_ALL)}))
	require.NoError(t, unix.SetsockoptTimeval(heard, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	me := mac(l.Attrs().HardwareAddr)
	packets(t, l.Attrs().Index)(tcp4(targetMAC(0), me))
	b := make([]byte, 200)
	n, _, err := unix.Recvfrom(heard, b, 0)
	require.NoError(t, err)
	require.Equal(t, tcp4(targetMAC(0), hw), b[:n])
	ChangeWord(track, 0, 3)
}

// Without rights the error names what is missing.
func TestMissingRights(t *testing.T) {
	needRoot(t)
	runtime.LockOSThread() // the thread ends with the test
	var none [2]unix.CapUserData
	require.NoError(t, unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]))
	_, err := Load(Options{})
	var feature *FeatureError
	require.ErrorAs(t, err, &feature)
	require.Contains(t, feature.Needs, "CAP_BPF")
	require.ErrorIs(t, err, unix.EPERM)
}

func TestExplain(t *testing.T) {
	var feature *FeatureError
	require.ErrorAs(t, explain("attach", fmt.Errorf("x: %w", ebpf.ErrNotSupported)), &feature)
	require.Contains(t, feature.Needs, "Linux 6.1")
	require.ErrorIs(t, feature, ebpf.ErrNotSupported)
	require.ErrorAs(t, explain("attach", unix.EACCES), &feature)
	require.Contains(t, feature.Error(), "CAP_NET_ADMIN")
	// The verifier's refusal is a bug of ours, whatever errno it comes with.
	err := explain("load", &ebpf.VerifierError{Cause: unix.EACCES})
	require.False(t, errors.As(err, new(*FeatureError)))
	err = explain("attach", unix.ENODEV)
	require.False(t, errors.As(err, new(*FeatureError)))
	require.ErrorIs(t, err, unix.ENODEV)
}

// TestFollow: beside XDP there is a program for multicast where it is wanted; a tc program does it itself.
func TestFollow(t *testing.T) {
	for _, mode := range []Mode{ModeXDP, ModeXDPGeneric, ModeTCX, ModeClsact} {
		t.Run(string(mode), func(t *testing.T) {
			pins := pinFolder(t)
			o := loadForTest(t, Options{PinPath: pins})
			s := newSpace(t)
			l := s.veth(t, "a")
			ifindex := l.Attrs().Index
			a, err := o.Attach(ifindex, mode)
			if errors.Is(err, ebpf.ErrNotSupported) {
				t.Skip("needs Linux 6.6: tcx")
			}
			require.NoError(t, err)
			beside := mode == ModeXDP || mode == ModeXDPGeneric
			require.NoError(t, o.Follow(a, true))
			require.NoError(t, o.Follow(a, true), "again")
			require.Equal(t, beside, a.multicast != nil)
			require.True(t, a.Attached())
			foreign, err := ForeignOn(ifindex, pins)
			require.NoError(t, err)
			require.Empty(t, foreign, "it is ours")
			if beside {
				// Somebody takes it off.
				if l, is := a.multicast.(bpfLink); is {
					theirs, err := link.LoadPinnedLink(l.pin, nil)
					require.NoError(t, err)
					require.NoError(t, theirs.Detach())
					require.NoError(t, theirs.Close())
				} else {
					require.NoError(t, a.multicast.detach())
				}
				require.False(t, a.Attached())
				require.NoError(t, o.Restore(a))
				require.True(t, a.Attached())
				// The next run finds it, and does not want it.
				require.NoError(t, a.Close())
				a, err = o.Attach(ifindex, mode)
				require.NoError(t, err)
				require.NoError(t, o.Follow(a, true))
				require.True(t, a.Attached())
			}
			require.NoError(t, o.Follow(a, false))
			require.Nil(t, a.multicast)
			require.NoError(t, o.Follow(a, true))
			require.NoError(t, o.Strip(ifindex))
			gone := atMulticast.filter(ifindex)
			require.False(t, gone.attached(ifindex))
			if programs, err := queryTCX(ifindex, ebpf.AttachTCXIngress); err == nil {
				require.Empty(t, programs)
			}
		})
	}
}
