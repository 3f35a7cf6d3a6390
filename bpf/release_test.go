// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
)

// What a run has left is taken off without it; what is foreign stays.
func TestReleaseWithoutARun(t *testing.T) {
	for _, mode := range modes {
		for _, foreign := range []Mode{"", ModeTCX, ModeClsact} {
			if foreign == ModeTCX && mode == ModeClsact {
				continue
			}
			t.Run(fmt.Sprintf("%s, foreign %s", mode, foreign), func(t *testing.T) {
				needRoot(t)
				needModes(t, mode, foreign)
				opt := Options{PinPath: filepath.Join(pinFolder(t), "4026")}
				s := newSpace(t)
				l := s.veth(t, "m0")
				ifindex := l.Attrs().Index
				in, _ := passing(t)
				out, count := passing(t)
				if foreign != "" {
					s.foreign(t, foreign, ifindex, in, out)
				}
				had, err := HasClsact(ifindex)
				require.NoError(t, err)
				require.Equal(t, foreign == ModeClsact, had)
				require.False(t, Pinned(opt.PinPath))
				o := loadForTest(t, opt)
				a, err := o.Attach(ifindex, mode)
				require.NoError(t, err)
				require.True(t, Pinned(opt.PinPath))
				s.seesBoth(t, o, l, true)
				require.NoError(t, a.Close())

				require.NoError(t, DetachPinned(opt.PinPath, ifindex+1))
				s.seesBoth(t, o, l, true)
				require.NoError(t, DetachPinned(opt.PinPath, ifindex))
				found, err := DetachFilters(ifindex, !had)
				require.NoError(t, err)
				require.Equal(t, mode == ModeClsact || !hasTCX(t), found, "what goes out takes a filter without TCX")
				before := count()
				s.seesBoth(t, o, l, false)
				if foreign != "" {
					require.Greater(t, count(), before, "the foreign program still runs")
				}
				has, err := HasClsact(ifindex)
				require.NoError(t, err)
				require.Equal(t, had, has)

				o.Close()
				require.NoError(t, RemovePins(opt.PinPath))
				_, err = os.Stat(filepath.Dir(opt.PinPath))
				require.ErrorIs(t, err, os.ErrNotExist)
				require.NoError(t, RemovePins(opt.PinPath), "twice")
				_, err = DetachFilters(ifindex, true)
				require.NoError(t, err)
			})
		}
	}
}

// A qdisc that somebody else uses by now stays, and so does a folder with other namespaces' pins.
func TestReleaseLeavesOthers(t *testing.T) {
	needRoot(t)
	opt := Options{PinPath: filepath.Join(pinFolder(t), "4026")}
	s := newSpace(t)
	l := s.veth(t, "m0")
	ifindex := l.Attrs().Index
	o := loadForTest(t, opt)
	a, err := o.Attach(ifindex, ModeClsact)
	require.NoError(t, err)
	in, _ := passing(t)
	require.NoError(t, s.nl.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: ifindex, Parent: netlink.HANDLE_MIN_EGRESS, Handle: clsactHandle, Priority: clsactPriority + 1, Protocol: 0x300},
		Fd:          in.FD(), Name: "ipmpd", DirectAction: true}))
	require.NoError(t, os.MkdirAll(filepath.Join(filepath.Dir(opt.PinPath), "4027"), 0o700))
	found, err := DetachFilters(ifindex, true)
	require.NoError(t, err)
	require.True(t, found)
	require.NoError(t, a.Detach(), "its filters are gone")
	has, err := HasClsact(ifindex)
	require.NoError(t, err)
	require.True(t, has)
	require.NoError(t, o.Unpin())
	_, err = os.Stat(opt.PinPath)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = os.Stat(filepath.Dir(opt.PinPath))
	require.NoError(t, err)
}

// After Unpin an attachment pins everything again, and the next run adopts it.
func TestUnpin(t *testing.T) {
	needRoot(t)
	opt := Options{PinPath: pinFolder(t)}
	s := newSpace(t)
	l := s.veth(t, "m0")
	for range 2 {
		o := loadForTest(t, opt)
		a, err := o.Attach(l.Attrs().Index, ModeXDP)
		require.NoError(t, err)
		require.NoError(t, a.Detach())
		require.NoError(t, o.Unpin())
		require.False(t, Pinned(opt.PinPath))
		require.NoError(t, o.Unpin(), "twice")
		a, err = o.Attach(l.Attrs().Index, ModeXDP)
		require.NoError(t, err)
		s.seesBoth(t, o, l, true)
		require.NoError(t, a.Close())
		o.Close()
	}
	require.True(t, loadForTest(t, opt).Adopted)
	for name, want := range map[string]bool{"ingress-3": true, "xdp-generic-17": true, "xdp-x": false, "layout-3": false, "owners": false, "egress-": false} {
		require.Equal(t, want, linkPin(name), name)
	}
}
