// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestFindSupport(t *testing.T) {
	needRoot(t)
	s := FindSupport()
	require.NoError(t, s.Programs)
	o := loadForTest(t, Options{})
	require.Equal(t, o.Timer, s.Timer)
	if s.TCX != nil {
		require.ErrorIs(t, s.TCX, ebpf.ErrNotSupported)
	}
}

// Our own programs are never foreign: known by their names, and, to those who may not read names, by
// the pins.
func TestForeignOn(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			needRoot(t)
			needModes(t, mode)
			opt := Options{PinPath: pinFolder(t)}
			o := loadForTest(t, opt)
			s := newSpace(t)
			index := s.veth(t, "m0").Attrs().Index
			_, err := o.Attach(index, mode)
			require.NoError(t, err)
			for _, pins := range []string{"", opt.PinPath} {
				found, err := ForeignOn(index, pins)
				require.NoError(t, err)
				require.Empty(t, found)
			}

			other, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "other", Type: ebpf.SchedCLS, License: "GPL",
				Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}})
			require.NoError(t, err)
			defer other.Close()
			if !hasTCX(t) {
				return // nobody else can have it either
			}
			l, err := link.AttachTCX(link.TCXOptions{Program: other, Interface: index, Attach: ebpf.AttachTCXEgress})
			require.NoError(t, err)
			defer l.Close()
			info, err := other.Info()
			require.NoError(t, err)
			id, _ := info.ID()
			found, err := ForeignOn(index, "")
			require.NoError(t, err)
			require.Equal(t, []Foreign{{Hook: "tcx egress", Name: "other", ID: uint32(id)}}, found)

			without(t, unix.CAP_SYS_ADMIN, func() { found, err = ForeignOn(index, opt.PinPath) })
			require.NoError(t, err)
			require.Equal(t, []Foreign{{Hook: "tcx egress", ID: uint32(id)}}, found)
		})
	}
	_, err := ForeignOn(1<<20, "")
	require.ErrorContains(t, err, "interface 1048576")
}

// without runs fn without a capability, on the test's locked thread.
func without(t *testing.T, capability uint, fn func()) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	require.NoError(t, unix.Capget(&header, &data[0]))
	bit := uint32(1) << (capability % 32)
	data[capability/32].Effective &^= bit
	require.NoError(t, unix.Capset(&header, &data[0]))
	fn()
	data[capability/32].Effective |= bit
	require.NoError(t, unix.Capset(&header, &data[0]))
}

func TestForeignText(t *testing.T) {
	require.Equal(t, "xdp lb (program 7)", Foreign{Hook: "xdp", Name: "lb", ID: 7}.String())
	require.Equal(t, "tcx ingress (program 7)", Foreign{Hook: "tcx ingress", ID: 7}.String())
	require.Equal(t, "tc egress flower", Foreign{Hook: "tc egress", Name: "flower"}.String())
}
