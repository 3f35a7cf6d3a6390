// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"
)

// emptyProgram does nothing, for the price of being run.
func emptyProgram(b *testing.B, kind ebpf.ProgramType, result int32) *ebpf.Program {
	b.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: kind, License: "MIT", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, result), asm.Return()}})
	require.NoError(b, err)
	b.Cleanup(func() { p.Close() })
	return p
}

// perPacket is the least of several means over many runs in the kernel.
func perPacket(b *testing.B, p *ebpf.Program, frame []byte) float64 {
	b.Helper()
	const runs = 200000
	least := time.Duration(1 << 62)
	for range 5 {
		_, took, err := p.Benchmark(frame, runs, b.ResetTimer)
		require.NoError(b, err)
		least = min(least, took)
	}
	return float64(least.Nanoseconds())
}

// BenchmarkNotOurs is what a packet of other people's costs, over an empty program.
func BenchmarkNotOurs(b *testing.B) {
	o := loadForTest(b, Options{})
	newSpace(b)
	// PROG_TEST_RUN uses the loopback device where none is given.
	me := mac{2, 0, 0, 0, 0, 1}
	require.NoError(b, o.SetMember(0, Member{Ifindex: 1, Mac: me}))
	track := &o.Tracks()[0]
	track.Members = 1
	ChangeWord(track, 1, 0)
	frame := tcp4(targetMAC(0), me)
	switched := func(on bool) {
		if on {
			ChangeWord(track, 0, 1)
		} else {
			ChangeWord(track, 1, 0)
		}
	}
	for _, row := range []struct {
		name     string
		program  *ebpf.Program
		kind     ebpf.ProgramType
		result   int32
		unusable bool
	}{
		{"xdp", o.xdp, ebpf.XDP, xdpPass, false},
		{"tc-ingress", o.ingress, ebpf.SchedCLS, -1, false},
		{"tc-egress", o.egress, ebpf.SchedCLS, -1, false},
		{"tc-egress-nowhere", o.egress, ebpf.SchedCLS, -1, true},
	} {
		b.Run(row.name, func(b *testing.B) {
			switched(row.unusable)
			defer switched(false)
			empty := perPacket(b, emptyProgram(b, row.kind, row.result), frame)
			ours := perPacket(b, row.program, frame)
			b.ReportMetric(ours, "ns/packet")
			b.ReportMetric(ours-empty, "ns/packet-over-empty")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkCast is what a packet of a multicast feed costs, over an empty program: one that is heard on a member that is good,
// and one of a group that nobody has joined.
func BenchmarkCast(b *testing.B) {
	o := loadForTest(b, Options{})
	newSpace(b)
	require.NoError(b, o.SetMember(0, Member{Ifindex: 1, Mac: mac{2, 0, 0, 0, 0, 1}}))
	track := &o.Tracks()[0]
	track.Members = 1
	ChangeWord(track, 1, 0)
	require.NoError(b, o.SetFeed(CastOf(0, castGroup4), 1, 0))
	other := castFrame(0, 1)
	other[33]++
	for _, row := range []struct {
		name  string
		frame []byte
	}{{"heard", castFrame(0, 1)}, {"another group", other}} {
		b.Run(row.name, func(b *testing.B) {
			empty := perPacket(b, emptyProgram(b, ebpf.SchedCLS, -1), row.frame)
			ours := perPacket(b, o.ingress, row.frame)
			b.ReportMetric(ours, "ns/packet")
			b.ReportMetric(ours-empty, "ns/packet-over-empty")
			b.ReportMetric(0, "ns/op")
		})
	}
}
