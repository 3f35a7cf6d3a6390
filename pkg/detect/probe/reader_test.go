// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"os"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/bpf"
)

// events is a ring buffer, and a program that puts a verdict of member 7 into it.
func events(t *testing.T) (*ebpf.Map, *ebpf.Program) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	ring, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 65536})
	require.NoError(t, err)
	t.Cleanup(func() { ring.Close() })
	size := int32(unsafe.Sizeof(bpf.Event{}))
	code := asm.Instructions{}
	store := func(at uintptr, value int32, width asm.Size) {
		code = append(code, asm.Mov.Imm(asm.R1, value), asm.StoreMem(asm.RFP, int16(int32(at)-size), asm.R1, width))
	}
	for at := uintptr(0); at < uintptr(size); at += 8 {
		store(at, 0, asm.DWord)
	}
	var e bpf.Event
	store(unsafe.Offsetof(e.Kind), int32(bpf.EventVerdict), asm.Word)
	store(unsafe.Offsetof(e.Member), 7, asm.Half)
	store(unsafe.Offsetof(e.VerdictNs), 12345, asm.DWord)
	code = append(code,
		asm.LoadMapPtr(asm.R1, ring.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -size),
		asm.Mov.Imm(asm.R3, size),
		asm.Mov.Imm(asm.R4, 2), // BPF_RB_FORCE_WAKEUP
		asm.FnRingbufOutput.Call(),
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	)
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: code, License: "MIT"})
	require.NoError(t, err)
	t.Cleanup(func() { prog.Close() })
	return ring, prog
}

func TestReader(t *testing.T) {
	ring, prog := events(t)
	var heard atomic.Int64
	start(t, (&Reader{Events: ring, Event: func(ev *bpf.Event, woke int64) {
		if ev.Kind == bpf.EventVerdict && ev.Member == 7 && ev.VerdictNs == 12345 && woke > 0 && woke <= nowNs() {
			heard.Add(1)
		}
	}}).Run)
	packet := make([]byte, 64)
	for range 100 {
		_, _, err := prog.Test(packet)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return heard.Load() == 100 }, 10*time.Second, time.Millisecond)
}

// An event is read without allocation, wherever it lies.
func TestDecode(t *testing.T) {
	size := int(unsafe.Sizeof(bpf.Event{}))
	raw := make([]byte, size+16)
	*(*bpf.Event)(unsafe.Pointer(&raw[0])) = bpf.Event{Member: 9, VerdictNs: 5}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if ev, err := decode(raw[:size]); err != nil || ev.Member != 9 {
			t.Fatal(ev, err)
		}
	}))
	copy(raw[3:], raw[:size])
	ev, err := decode(raw[3:][:size])
	require.NoError(t, err)
	require.EqualValues(t, 5, ev.VerdictNs)
	for n := range size {
		_, err := decode(raw[:n])
		require.ErrorContains(t, err, "maps of another layout")
	}
}
