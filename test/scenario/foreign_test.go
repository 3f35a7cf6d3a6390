// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// foreign things on a member: an address, a route of a routing daemon, programs in and out.
type foreign struct {
	s       *scene
	address netip.Prefix
	route   *netlink.Route
	program *ebpf.Program
	ifindex int
}

const protoBird = 12

func (s *scene) foreign(name string) *foreign {
	s.t.Helper()
	l, err := s.Host.Link(name)
	require.NoError(s.t, err)
	f := &foreign{s: s, address: netip.MustParsePrefix("198.18.0.1/24"), ifindex: l.Attrs().Index}
	require.NoError(s.t, s.Host.AddAddr(name, f.address.String()))
	_, to, _ := net.ParseCIDR("198.18.5.0/24")
	f.route = &netlink.Route{Dst: to, Gw: net.IPv4(198, 18, 0, 2), LinkIndex: f.ifindex, Protocol: protoBird}
	require.NoError(s.t, s.Host.Netlink.RouteAdd(f.route))
	const next = -1 // TCX_NEXT
	f.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{Name: "foreign", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, next), asm.Return()}})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, f.program.Close()) })
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		require.NoError(s.t, s.InHost(func() error {
			att, err := link.AttachTCX(link.TCXOptions{Interface: f.ifindex, Program: f.program, Attach: at})
			if err == nil {
				s.t.Cleanup(func() { require.NoError(s.t, att.Close()) })
			}
			return err
		}))
	}
	return f
}

// untouched requires that all of it is where it was.
func (f *foreign) untouched() {
	f.s.t.Helper()
	prefixes, err := f.s.Host.Addresses("hme0")
	require.NoError(f.s.t, err)
	require.Contains(f.s.t, prefixes, f.address)
	routes, err := f.s.Host.Netlink.RouteListFiltered(netlink.FAMILY_V4, f.route, netlink.RT_FILTER_DST|netlink.RT_FILTER_OIF)
	require.NoError(f.s.t, err)
	require.Len(f.s.t, routes, 1)
	require.EqualValues(f.s.t, protoBird, routes[0].Protocol)
	require.True(f.s.t, routes[0].Gw.Equal(f.route.Gw))
	info, err := f.program.Info()
	require.NoError(f.s.t, err)
	id, _ := info.ID()
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		require.NoError(f.s.t, f.s.InHost(func() error {
			result, err := link.QueryPrograms(link.QueryOptions{Target: f.ifindex, Attach: at})
			if err == nil && !slices.ContainsFunc(result.Programs, func(p link.AttachedProgram) bool { return p.ID == id }) {
				err = fmt.Errorf("the foreign program is not among those at %s", at)
			}
			return err
		}))
	}
}

// TestForeignThingsStay through a failover, a failback and the daemon's end.
func TestForeignThingsStay(t *testing.T) {
	var f *foreign
	s := stage(t, setup{prepare: func(_ *testing.T, s *scene) { f = s.foreign("hme0") }})
	f.untouched()
	_, g := s.status("hme0")
	require.Len(t, g.ForeignAddresses, 1)
	require.Equal(t, f.address.String(), g.ForeignAddresses[0].Address)
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
	f.untouched()
	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
	f.untouched()
	require.NoError(t, s.daemon.Stop())
	f.untouched()
	s.reached(lab.Data)
}

// TestAttachFails: a member that cannot have our programs, as somebody else's are in their place, is watched
// by its link only, which is said. It has not failed.
func TestAttachFails(t *testing.T) {
	s := stage(t, setup{
		group: []string{"attach: xdp"},
		prepare: func(t *testing.T, s *scene) {
			const pass = 2 // XDP_PASS
			program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "foreign", Type: ebpf.XDP, License: "GPL",
				Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()}})
			require.NoError(t, err)
			dev, err := s.Host.Link("hme1")
			require.NoError(t, err)
			require.NoError(t, s.InHost(func() error {
				att, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: dev.Attrs().Index, Flags: link.XDPDriverMode})
				t.Cleanup(func() { require.NoError(t, errors.Join(att.Close(), program.Close())) })
				return err
			}))
		},
		ready: func(s *scene) (bool, error) {
			st, err := s.client.Status(s.context())
			return err == nil && st.Groups[0].Interfaces[0].State == "ok", err
		},
	})
	s.logs("msg=step-failed group=unrealgrp1 interface=hme1", "attach: ", "; only the link is watched")
	i, _ := s.status("hme1")
	require.Equal(t, []any{"unknown", "", "no programs: only its link is watched"}, []any{i.State, i.Attach, i.Note})
	_, err := s.Members[0].CutCarrier()
	require.NoError(t, err)
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
	s.state("hme1", "unknown")
}

// logs waits until the daemon has written a line with all of the parts.
func (s *scene) logs(parts ...string) {
	s.t.Helper()
	s.wait("the log to have "+strings.Join(parts, " "), func() (bool, error) {
		text, err := os.ReadFile(s.daemon.Log)
		return slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
			return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) })
		}), err
	})
}

// TestTestAddressIsNoSource of anything but probes: what the host sends of its own accord comes from
// the data address, before and after a failover. Judged on the switch, with the prober stopped.
func TestTestAddressIsNoSource(t *testing.T) {
	s := stage(t, setup{})
	tr := s.traffic()
	s.stopProbes()
	for _, m := range s.Members {
		require.NoError(t, m.Port.Reset(faults.From, faults.Echoes, faults.IP(faults.Test)))
	}
	check := func(when string) {
		t.Helper()
		require.NoError(t, s.daemon.Signal(syscall.SIGCONT))
		tr.flows(faults.Now())
		for i, target := range []netip.Addr{lab.Peer, lab.Router, lab.Peer} {
			require.Equal(t, lab.Data.String(), s.says(netip.AddrPortFrom(target, uint16(9000+i))), when)
		}
		s.stopProbes()
		for _, m := range s.Members {
			require.Equal(t, s.count(m.Port, faults.From, faults.Echoes), s.count(m.Port, faults.From, faults.IP(faults.Test)),
				"%s: of test addresses, nothing but probes leaves %s", when, m.Name)
		}
		require.NoError(t, s.daemon.Signal(syscall.SIGCONT))
	}
	check("at home")
	require.NoError(t, s.Members[0].Port.Set(faults.Drop(faults.To, faults.Any())))
	s.expect("failover hme0")
	check("after a failover")
}

// says sends a packet from a socket of the host that is bound to nothing, and returns its source.
func (s *scene) says(to netip.AddrPort) (source string) {
	s.t.Helper()
	require.NoError(s.t, s.Host.Do(func() error {
		conn, err := net.Dial("udp", to.String())
		if err != nil {
			return err
		}
		defer conn.Close()
		source = conn.LocalAddr().(*net.UDPAddr).IP.String()
		_, err = conn.Write([]byte("from whom?"))
		return err
	}))
	return source
}

// stopProbes stops the daemon and returns when the switch sees no more of it.
func (s *scene) stopProbes() {
	s.t.Helper()
	require.NoError(s.t, s.daemon.Signal(syscall.SIGSTOP))
	for _, m := range s.Members {
		s.wait("the probes to end", func() (bool, error) {
			before := s.count(m.Port, faults.From, faults.Echoes)
			s.pass(20e6)
			return s.count(m.Port, faults.From, faults.Echoes) == before, nil
		})
	}
}
