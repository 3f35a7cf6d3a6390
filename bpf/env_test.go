// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	deadline  = 5 * time.Second // of every wait
	rigGroup  = 3
	rigCount  = 4         // members
	rigFirst  = 20        // number of the first member
	rigBit    = 2         // bit of the first member
	interval  = 100000000 // ns between rounds; a test's answer that takes half of it is late
	rigICMPID = 0x1234
)

// rig is a group of members on veths, with the test in the place of prober and targets.
type rig struct {
	*space
	o      *Objects
	path   string // "xdp" or "tc": which program takes what comes in
	links  [rigCount]netlink.Link
	hooks  [rigCount]*Attachment
	reader *ringbuf.Reader
}

// newRig loads the programs; the members' XDP queues are made known by an attached program.
func newRig(t testing.TB, withoutTimer bool) *rig {
	t.Helper()
	return newRigOn(t, Options{WithoutTimer: withoutTimer})
}

func newRigOn(t testing.TB, opt Options) *rig {
	t.Helper()
	r := &rig{o: loadForTest(t, opt), path: "xdp"}
	r.space = newSpace(t)
	r.listen(t)
	var err error
	for i := range r.links {
		r.links[i] = r.veth(t, fmt.Sprintf("m%d", i))
		// Only a device with a native program has XDP queues that PROG_TEST_RUN accepts.
		r.hooks[i], err = r.o.Attach(r.links[i].Attrs().Index, ModeXDP)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, r.hooks[i].Detach()) })
	}
	r.reset(t)
	return r
}

// listen opens the ring buffer.
func (r *rig) listen(t testing.TB) {
	t.Helper()
	reader, err := ringbuf.NewReader(r.o.Events())
	require.NoError(t, err)
	t.Cleanup(func() { reader.Close() })
	r.reader = reader
}

// rigs runs a test with both confirmers and both ingress programs.
func rigs(t *testing.T, fn func(t *testing.T, r *rig)) {
	for _, without := range []bool{false, true} {
		name := "timer"
		if without {
			name = "tick"
		}
		t.Run(name, func(t *testing.T) {
			r := newRig(t, without)
			for _, path := range []string{"xdp", "tc"} {
				r.run(t, path, func(t *testing.T) {
					r.path = path
					r.pin(t)
					fn(t, r)
				})
			}
		})
	}
}

// pin keeps the thread on one CPU, which it returns.
func (r *rig) pin(t testing.TB) int {
	t.Helper()
	var set unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &set))
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			set.Zero()
			set.Set(cpu)
			require.NoError(t, unix.SchedSetaffinity(0, &set))
			return cpu
		}
	}
	t.Fatal("no CPU")
	return 0
}

func (r *rig) number(i int) int  { return rigFirst + i }
func (r *rig) bit(i int) uint32  { return 1 << (rigBit + i) }
func (r *rig) ifindex(i int) int { return r.links[i].Attrs().Index }
func (r *rig) mac(i int) mac     { return mac(r.links[i].Attrs().HardwareAddr) }

func (r *rig) inst(i, family int) *Instance {
	return &r.o.Instances()[InstanceNumber(r.number(i), family)]
}
func (r *rig) track(family int) *Track { return &r.o.Tracks()[TrackNumber(rigGroup, family)] }

func testAddr(i, family int) netip.Addr {
	if family == 0 {
		return netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})
	}
	return netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", 11+i))
}

func targetAddr(i, family int) netip.Addr {
	if family == 0 {
		return netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)})
	}
	return netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", 100+i))
}

func targetMAC(i int) mac { return mac{2, 0, 0, 0, 9, byte(i)} }

// reset puts the shared memory and the maps into the state of a start: all members armed and
// usable, probed by ICMP, two targets known, nothing sent.
func (r *rig) reset(t testing.TB) {
	t.Helper()
	clear(r.o.Instances())
	clear(r.o.Tracks())
	for family := range Families {
		track := r.track(family)
		track.IntervalNs, track.Targets = interval, 2
		track.Newest = uint32(Window) - 1
		for j := range 2 {
			track.Target[j] = Target{Addr: AddrFrom(targetAddr(j, family)), Mac: targetMAC(j)}
		}
		for i := range rigCount {
			track.Members |= r.bit(i)
			track.Member[rigBit+i] = uint16(r.number(i))
			inst := r.inst(i, family)
			inst.Kind, inst.Limit = KindICMP, 3
			inst.IcmpId = networkOrder(rigICMPID)
			inst.Source = AddrFrom(testAddr(i, family))
		}
		track.Word = 7<<32 | uint64(track.Members)
	}
	for i := range rigCount {
		m := Member{Ifindex: uint32(r.ifindex(i)), Group: rigGroup, Bit: uint8(rigBit + i), Mac: r.mac(i)}
		for family := range Families {
			m.Tests[family] = 1
			m.Test[family][0] = AddrFrom(testAddr(i, family))
			var others []uint8
			for j := 1; j < rigCount; j++ {
				others = append(others, uint8(rigBit+(i+j)%rigCount))
			}
			require.NoError(t, r.o.SetSurvivors(InstanceNumber(r.number(i), family), others))
		}
		require.NoError(t, r.o.SetMember(r.number(i), m))
		zero := make([]Traffic, ebpf.MustPossibleCPU())
		require.NoError(t, r.o.maps["traffic"].Put(uint32(r.number(i)), zero))
	}
	owners, err := r.o.Owners()
	require.NoError(t, err)
	for a := range owners {
		require.NoError(t, r.o.DeleteOwner(a))
	}
	r.noEvent(t)
}

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// xdpContext is struct xdp_md, skbContext struct __sk_buff as far as PROG_TEST_RUN takes it.
type xdpContext struct {
	Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32
}

type skbContext struct {
	Len, PktType, Mark, QueueMapping, Protocol uint32
	VlanPresent, VlanTci, VlanProto, Priority  uint32
	IngressIfindex, Ifindex                    uint32
	Rest                                       [37]uint32
}

// Actions of the programs, of both kinds.
const (
	xdpDrop    = 1
	xdpPass    = 2
	tcUnspec   = 0xffffffff
	tcShot     = 2
	tcStolen   = 4
	tcRedirect = 7
)

// runSkb runs a tc program on a frame of member i.
func (r *rig) runSkb(t testing.TB, p *ebpf.Program, ifindex int, frame []byte) (uint32, []byte) {
	t.Helper()
	opt := &ebpf.RunOptions{
		Data: frame, DataOut: make([]byte, len(frame)+64), Context: skbContext{Ifindex: uint32(ifindex)}}
	action, err := p.Run(opt)
	if errors.Is(err, unix.EINVAL) && cutInIP(frame) {
		return tcUnspec, frame
	}
	require.NoError(t, err)
	return action, opt.DataOut
}

// cutInIP: newer kernels' PROG_TEST_RUN refuses an skb that ends within its IP header. XDP shows
// that the parsers, which are the same, hold.
func cutInIP(frame []byte) bool {
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherIPv4:
		return len(frame) < 14+20
	case etherIPv6:
		return len(frame) < 14+40
	}
	return false
}

func (r *rig) runXDP(t testing.TB, ifindex int, frame []byte) (uint32, []byte) {
	t.Helper()
	opt := &ebpf.RunOptions{
		Data: frame, DataOut: make([]byte, len(frame)+64),
		Context: xdpContext{DataEnd: uint32(len(frame)), IngressIfindex: uint32(ifindex)}}
	action, err := r.o.xdp.Run(opt)
	require.NoError(t, err)
	return action, opt.DataOut
}

// in runs the ingress program of the rig's path; it reports whether the frame was taken. A frame
// that passes must do so unchanged.
func (r *rig) in(t testing.TB, i int, frame []byte) bool {
	t.Helper()
	return r.inOn(t, r.ifindex(i), frame)
}

func (r *rig) inOn(t testing.TB, ifindex int, frame []byte) bool {
	t.Helper()
	var action uint32
	var out []byte
	pass, drop := uint32(xdpPass), uint32(xdpDrop)
	if r.path == "xdp" {
		action, out = r.runXDP(t, ifindex, frame)
	} else {
		pass, drop = tcUnspec, tcShot
		action, out = r.runSkb(t, r.o.ingress, ifindex, frame)
	}
	require.Contains(t, []uint32{pass, drop}, action)
	require.True(t, bytes.Equal(frame, out), "changed: % x\nto:      % x", frame, out)
	return action == drop
}

func monotonic(t testing.TB) int64 {
	t.Helper()
	var ts unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts))
	return ts.Nano()
}

func nonceOf(n uint32) uint64 { return uint64(n)*0x9e3779b97f4a7c15 + 1 }

// begin round n of a family, so long ago, to a target, as the prober does; it is sent on members.
func (r *rig) begin(t testing.TB, family int, n uint32, ago time.Duration, target uint16, members ...int) {
	t.Helper()
	track := r.track(family)
	slot := &track.Round[n&WindowMask]
	slot.BegunNs = uint64(monotonic(t) - ago.Nanoseconds())
	slot.Nonce = nonceOf(n)
	slot.Target = target
	atomic.StoreUint32(&slot.Round, n)
	atomic.StoreUint32(&track.Newest, n)
	for _, i := range members {
		inst := r.inst(i, family)
		atomic.StoreUint32(&inst.Slot[n&WindowMask].Sent, n)
		atomic.StoreUint32(&inst.Newest, n)
	}
}

// probe is what a frame of a reply says; the zero value of a test is a good one.
type probe struct {
	family   int
	from, to netip.Addr
	toMAC    mac
	id       uint16
	magic    uint32
	round    uint32
	nonce    uint64
}

func (r *rig) goodProbe(i, family int, n uint32) probe {
	target := r.track(family).Round[n&WindowMask].Target
	return probe{
		family: family, from: targetAddr(int(target), family), to: testAddr(i, family), toMAC: r.mac(i),
		id: rigICMPID, magic: ProbeMagic, round: n, nonce: nonceOf(n),
	}
}

func (p probe) frame() []byte {
	if p.family == 0 {
		return ether(p.toMAC, targetMAC(0), etherIPv4,
			ipv4(p.from, p.to, protoICMP, 0, nil, echo(echoReply4, p.id, p.magic, p.round, p.nonce)))
	}
	return ether(p.toMAC, targetMAC(0), etherIPv6,
		ipv6(p.from, p.to, protoICMPv6, 64, echo(echoReply6, p.id, p.magic, p.round, p.nonce)))
}

// reply to round n comes in on member i, and must be taken.
func (r *rig) reply(t testing.TB, i, family int, n uint32) {
	t.Helper()
	require.True(t, r.in(t, i, r.goodProbe(i, family, n).frame()), "reply to round %d on member %d", n, i)
}

// counted runs fn and returns the counters that it changed.
func (r *rig) counted(t testing.TB, fn func()) map[string]uint64 {
	t.Helper()
	before, err := r.o.Counters()
	require.NoError(t, err)
	fn()
	after, err := r.o.Counters()
	require.NoError(t, err)
	diff := map[string]uint64{}
	for name, n := range after {
		if n != before[name] {
			diff[name] = n - before[name]
		}
	}
	return diff
}

// event waits for the next event.
func (r *rig) event(t testing.TB) Event {
	t.Helper()
	e, err := r.readEvent(deadline)
	require.NoError(t, err, "no event")
	return e
}

// noEvent asserts that there is none, by now.
func (r *rig) noEvent(t testing.TB) {
	t.Helper()
	e, err := r.readEvent(0)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "%+v", e)
}

func (r *rig) readEvent(within time.Duration) (Event, error) {
	r.reader.SetDeadline(time.Now().Add(within))
	rec, err := r.reader.Read()
	if err != nil {
		return Event{}, err
	}
	if len(rec.RawSample) != int(unsafe.Sizeof(Event{})) {
		return Event{}, errors.New("event of another size")
	}
	return *(*Event)(unsafe.Pointer(&rec.RawSample[0])), nil
}

// settled waits until the instance is under no suspicion: with timers, until the confirmation ran.
func (r *rig) settled(t testing.TB, i, family int) {
	t.Helper()
	inst := r.inst(i, family)
	require.Eventually(t, func() bool { return atomic.LoadUint32(&inst.Suspect) == 0 }, deadline, 100*time.Microsecond)
}

// ranOn makes it look as if a packet had come in on a CPU, on member i, when round n was the newest.
func (r *rig) ranOn(t testing.TB, cpu, i int, n uint32) {
	t.Helper()
	var per []Traffic
	traffic := r.o.maps["traffic"]
	require.NoError(t, traffic.Lookup(uint32(r.number(i)), &per))
	require.Less(t, cpu, len(per))
	per[cpu].Seen = [Families]uint32{n, n}
	require.NoError(t, traffic.Put(uint32(r.number(i)), per))
}
