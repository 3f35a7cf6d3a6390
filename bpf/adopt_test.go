// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
)

// programs of the pinned links and filters on an interface: link id -> program id.
func linkPrograms(t *testing.T, a *Attachment) (links []link.ID, programs []ebpf.ProgramID) {
	t.Helper()
	for _, h := range []hook{a.ingress, a.egress} {
		if l, ok := h.(bpfLink); ok {
			info, err := l.link.Info()
			require.NoError(t, err)
			links = append(links, info.ID)
			programs = append(programs, info.Program)
		}
	}
	return links, programs
}

// A second run finds maps with their state, and puts its programs into the links that are there.
func TestAdopted(t *testing.T) {
	for _, mode := range modes {
		for _, second := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, without timer %v", mode, second), func(t *testing.T) {
				needRoot(t)
				needModes(t, mode)
				opt := Options{PinPath: pinFolder(t)}
				s := newSpace(t)
				l := s.veth(t, "m0")
				o := loadForTest(t, opt)
				require.False(t, o.Adopted)
				a, err := o.Attach(l.Attrs().Index, mode)
				require.NoError(t, err)
				s.seesBoth(t, o, l, true)
				o.Instances()[5].Acked = 4711
				word := ReadWord(&o.Tracks()[0])
				require.NoError(t, o.SetOwner(addr("192.0.2.10"), 3))
				links, programs := linkPrograms(t, a)
				before, err := o.Traffic(0)
				require.NoError(t, err)
				require.NoError(t, a.Close())
				o.Close()
				// With nobody there the programs still run.
				packets(t, l.Attrs().ParentIndex)(tcp4(mac(l.Attrs().HardwareAddr), targetMAC(0)))

				opt.WithoutTimer = second
				o = loadForTest(t, opt)
				require.True(t, o.Adopted)
				require.EqualValues(t, 4711, o.Instances()[5].Acked)
				require.Equal(t, word, ReadWord(&o.Tracks()[0]))
				owners, err := o.Owners()
				require.NoError(t, err)
				require.Equal(t, 3, owners[addr("192.0.2.10")])
				after, err := o.Traffic(0)
				require.NoError(t, err)
				require.Equal(t, before.Other+1, after.Other)
				a, err = o.Attach(l.Attrs().Index, mode)
				require.NoError(t, err)
				links2, programs2 := linkPrograms(t, a)
				require.Equal(t, links, links2)
				for i := range programs {
					require.NotEqual(t, programs[i], programs2[i])
				}
				s.seesBoth(t, o, l, true)
				require.NoError(t, a.Detach())
				s.seesBoth(t, o, l, false)
			})
		}
	}
}

// formerRun is over, and has left its pins and the programs of a member behind.
type formerRun struct {
	opt    Options
	space  *space
	member netlink.Link
}

func leaveRun(t *testing.T, mode Mode) formerRun {
	t.Helper()
	r := formerRun{opt: Options{PinPath: pinFolder(t)}, space: newSpace(t)}
	r.member = r.space.veth(t, "m0")
	o := loadForTest(t, r.opt)
	a, err := o.Attach(r.member.Attrs().Index, mode)
	require.NoError(t, err)
	require.NoError(t, a.Close())
	o.Close()
	return r
}

// Another mode than the former run's takes its place.
func TestModeChanged(t *testing.T) {
	for _, from := range modes {
		for _, to := range modes {
			if from == to {
				continue
			}
			t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) {
				needRoot(t)
				needModes(t, from, to)
				r := leaveRun(t, from)
				o := loadForTest(t, r.opt)
				a, err := o.Attach(r.member.Attrs().Index, to)
				require.NoError(t, err)
				// Each packet is seen once.
				r.space.seesBoth(t, o, r.member, true)
				require.NoError(t, a.Detach())
				r.space.seesBoth(t, o, r.member, false)
			})
		}
	}
}

// An interface index comes back with another interface, and the pin is of the former.
func TestStalePin(t *testing.T) {
	for _, mode := range []Mode{ModeTCX, ModeXDP} {
		t.Run(string(mode), func(t *testing.T) {
			needRoot(t)
			needModes(t, mode)
			r := leaveRun(t, mode)
			s, l := r.space, r.member
			require.NoError(t, s.nl.LinkDel(l))
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.Index = "m0", l.Attrs().Index
			require.NoError(t, s.nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "again"}))
			for _, name := range []string{"again", "m0"} {
				var err error
				l, err = s.nl.LinkByName(name)
				require.NoError(t, err)
				require.NoError(t, s.nl.LinkSetUp(l))
			}
			s.carriers(t, "again", "m0")
			require.Equal(t, attrs.Index, l.Attrs().Index)
			o := loadForTest(t, r.opt)
			a, err := o.Attach(l.Attrs().Index, mode)
			require.NoError(t, err)
			s.seesBoth(t, o, l, true)
			require.NoError(t, a.Detach())
			entries, err := os.ReadDir(r.opt.PinPath)
			require.NoError(t, err)
			for _, e := range entries {
				require.False(t, linkPin(e.Name()), e.Name())
			}
		})
	}
}

// Maps of another layout are not adopted, nor half a set of them; fresh ones take their place.
func TestNotAdopted(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"another layout": func(dir string) error { return os.Remove(layoutFile(dir)) },
		"half":           func(dir string) error { return os.Remove(filepath.Join(dir, "instances")) },
		"another size": func(dir string) error {
			path := filepath.Join(dir, "owners")
			if err := os.Remove(path); err != nil {
				return err
			}
			m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 1})
			if err != nil {
				return err
			}
			return errors.Join(m.Pin(path), m.Close())
		},
		"no map": func(dir string) error {
			path := filepath.Join(dir, "tracks")
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		},
		// Two upgrades, there and back: the layout of the first run is named, but the maps are of the second.
		"a layout that was": func(dir string) error {
			return os.Rename(layoutFile(dir), filepath.Join(dir, "layout-9999"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			needRoot(t)
			opt := Options{PinPath: pinFolder(t)}
			o := loadForTest(t, opt)
			o.Tracks()[0].Newest = 4711
			o.Close()
			require.NoError(t, spoil(opt.PinPath))
			var said []string
			opt.Discard = func(pin string, why error) { said = append(said, pin+": "+why.Error()) }
			o = loadForTest(t, opt)
			require.False(t, o.Adopted)
			require.Len(t, said, 1)
			require.Contains(t, said[0], opt.PinPath)
			left, err := filepath.Glob(filepath.Join(opt.PinPath, "layout-*"))
			require.NoError(t, err)
			require.Equal(t, []string{layoutFile(opt.PinPath)}, left, "one layout at a time")
			require.Zero(t, o.Tracks()[0].Newest)
			o.Tracks()[0].Newest = 4712
			o.Close()
			o = loadForTest(t, opt)
			require.True(t, o.Adopted, "the fresh ones were pinned")
			require.EqualValues(t, 4712, o.Tracks()[0].Newest)
		})
	}
}
