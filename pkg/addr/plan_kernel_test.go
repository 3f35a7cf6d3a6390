// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestModelIsTheKernel applies plans to a real namespace, which must then be what the model said,
// and leave a second plan nothing to do.
func TestModelIsTheKernel(t *testing.T) {
	r := newRig(t, ApplierOptions{})
	d, _ := pair()
	g := &d.Groups[0]
	for i := range g.Members {
		m := &g.Members[i]
		m.Name, m.Index, m.MAC = r.members[i].Name, r.members[i].Index, r.members[i].MAC
	}
	g.Addresses = append(g.Addresses, Address{prefix("192.0.2.20/24"), 1}, Address{prefix("2001:db8::10/64"), 0})
	g.Members[0].Tests = append(g.Members[0].Tests, prefix("2001:db8::11/64"))
	g.Routes = append(g.Routes, Route{To: prefix("::/0"), Via: netip.MustParseAddr("fe80::1")})
	// Addresses of an administrator, with connected routes: one where it belongs, one not.
	r.host.ip("addr", "add", "192.0.2.20/24", "dev", "m0")
	r.host.ip("addr", "add", "192.0.2.11/24", "dev", "m0")
	r.host.ip("addr", "add", "2001:db8::11/64", "dev", "m0", "nodad")
	r.host.ip("neigh", "add", "192.0.2.1", "lladdr", "02:00:00:00:00:01", "dev", "m0", "nud", "reachable")

	carrier := func(member int, state string) {
		r.peer.ip("link", "set", fmt.Sprint("p", member), state)
		id := strconv.Itoa(int(nexthopID(0, 0, 0, member)))
		eventually(t, "carrier "+state, func() bool {
			up := r.host.json("link", "show", "dev", r.members[member].Name)[0]["operstate"] == "UP"
			gone := !strings.Contains(r.host.ip("nexthop"), "id "+id+" ")
			return up == (state == "up") && (state == "up" || gone) // the kernel flushes a moment later
		})
	}
	for _, row := range []struct {
		name string
		do   func()
	}{
		{"start", func() {}},
		{"m0 fails", func() { d.fail(0, 1, 1, 1) }},
		{"its link goes", func() { carrier(0, "down") }},
		{"m0 comes back", func() {
			carrier(0, "up")
			d.repair(0)
			d.Groups[0].Addresses[0].Member, d.Groups[0].Addresses[2].Member = 0, 0
		}},
		{"one at a time", func() { d.Groups[0].Spread = false }},
		{"the only one that sends loses its link", func() {
			carrier(0, "down")
			d.fail(0, 1, 1, 1)
		}},
		{"both again, other addresses", func() {
			carrier(0, "up")
			d.repair(0)
			d.Groups[0].Spread = true
			d.Groups[0].Addresses = []Address{{prefix("192.0.2.30/24"), 1}, {prefix("2001:db8::30/64"), 1}}
			d.Groups[0].Members[0].Tests = d.Groups[0].Members[0].Tests[:1]
		}},
		{"nothing left", func() { d.Groups[0].Addresses, d.Groups[0].Routes = nil, nil }},
	} {
		row.do()
		o := r.host.observe(d)
		ops := Plan(d, o)
		for _, failure := range r.apply(ops...) {
			t.Errorf("%s: %s: %v", row.name, kernelOf(o).shell(failure.Op), failure.Err)
		}
		after := r.host.observe(d)
		require.Equal(t, kernelOf(o.With(ops)).String(), kernelOf(after).String(), row.name)
		require.Equal(t, o.With(ops).Sysctls, after.Sysctls, row.name)
		require.Equal(t, listing(o.With(ops)), listing(after), row.name)
		again := kernelOf(after)
		require.Empty(t, again.run(t, Plan(d, after)), "%s: a second plan finds nothing to do", row.name)
	}
	require.Equal(t, "ip addr 192.0.2.11/24 dev m0\nip addr 192.0.2.12/24 dev m1 noprefixroute\n"+
		"ip addr 2001:db8::11/64 dev m0", kernelOf(r.host.observe(d)).String())
}

// listing is the addresses in their order, with what the kernel adds to them.
func listing(o Observed) (lines []string) {
	o.SortAddresses()
	for _, a := range o.Addresses {
		lines = append(lines, fmt.Sprintf("%d %s label %q broadcast %s", a.Link, a.Prefix, a.Form.Label, a.Form.Broadcast))
	}
	return lines
}

// observe reads the host by ip(8).
func (s *space) observe(d Desired) Observed {
	o := Observed{Sysctls: map[string]string{}}
	text := func(m map[string]any, key string) string {
		v, _ := m[key].(string)
		return v
	}
	number := func(m map[string]any, key string) int {
		if v, ok := m[key].(string); ok {
			n, err := strconv.Atoi(v)
			require.NoError(s.t, err, "%s of %v", key, m)
			return n
		}
		v, _ := m[key].(float64)
		return int(v)
	}
	ip := func(m map[string]any, key string) netip.Addr {
		a, _ := netip.ParseAddr(text(m, key))
		return a
	}
	index, protos := map[string]int{}, s.protos()
	for _, l := range s.json("-N", "addr") {
		link := HostLink{Index: number(l, "ifindex"), Name: text(l, "ifname")}
		for i, b := range strings.Split(text(l, "address"), ":") {
			n, err := strconv.ParseUint(b, 16, 8)
			require.NoError(s.t, err)
			link.MAC[i] = byte(n)
		}
		flags := fmt.Sprint(l["flags"], " ")
		link.Up, link.Carrier = strings.Contains(flags, "UP"), strings.Contains(flags, "LOWER_UP")
		index[link.Name] = link.Index
		o.Links = append(o.Links, link)
		list, _ := l["addr_info"].([]any)
		for _, v := range list {
			a := v.(map[string]any)
			h := HostAddress{Link: link.Index, Prefix: netip.PrefixFrom(ip(a, "local"), number(a, "prefixlen"))}
			for key, flag := range map[string]uint32{"noprefixroute": unix.IFA_F_NOPREFIXROUTE, "deprecated": unix.IFA_F_DEPRECATED,
				"tentative": unix.IFA_F_TENTATIVE, "nodad": unix.IFA_F_NODAD, "secondary": unix.IFA_F_SECONDARY} {
				if a[key] == true {
					h.Flags |= flag
				}
			}
			h.Proto = protos[linkIP{h.Link, h.Prefix.Addr()}]
			h.Form = AddressForm{Label: text(a, "label"), Peer: ip(a, "address"), Broadcast: ip(a, "broadcast"), Metric: uint32(number(a, "metric"))}
			h.Form.Scope = map[string]uint8{"global": unix.RT_SCOPE_UNIVERSE, "site": unix.RT_SCOPE_SITE, "link": unix.RT_SCOPE_LINK,
				"host": unix.RT_SCOPE_HOST, "0": unix.RT_SCOPE_UNIVERSE, "200": unix.RT_SCOPE_SITE, "253": unix.RT_SCOPE_LINK, "254": unix.RT_SCOPE_HOST}[text(a, "scope")]
			if valid := number(a, "valid_life_time"); valid != math.MaxUint32 {
				h.Form.Valid, h.Form.Preferred = time.Duration(valid)*time.Second, time.Duration(number(a, "preferred_life_time"))*time.Second
			}
			o.Addresses = append(o.Addresses, h)
		}
	}
	for _, family := range []string{"-4", "-6"} {
		for _, r := range s.json("-N", family, "route", "show", "table", "main") {
			h := HostRoute{Table: unix.RT_TABLE_MAIN, Protocol: uint8(number(r, "protocol")), Scope: uint8(number(r, "scope")),
				Metric: uint32(number(r, "metric")), Src: ip(r, "prefsrc"), NHID: uint32(number(r, "nhid")), Via: ip(r, "gateway")}
			if h.NHID == 0 {
				h.Link = index[text(r, "dev")]
			} else {
				h.Via = netip.Addr{}
			}
			if dst := text(r, "dst"); dst != "default" {
				h.To = netip.MustParsePrefix(dst)
			} else if family == "-4" {
				h.To = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			} else {
				h.To = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
			o.Routes = append(o.Routes, h)
		}
	}
	for _, n := range s.json("-N", "nexthop") {
		h := HostNexthop{ID: uint32(number(n, "id")), Protocol: uint8(number(n, "protocol")), Link: index[text(n, "dev")], Gateway: ip(n, "gateway")}
		hops, _ := n["group"].([]any)
		for _, hop := range hops {
			h.Hops = append(h.Hops, uint32(number(hop.(map[string]any), "id")))
		}
		o.Nexthops = append(o.Nexthops, h)
	}
	for _, n := range s.json("neigh") {
		h := HostNeighbor{Link: index[text(n, "dev")], IP: ip(n, "dst")}
		_, _ = fmt.Sscanf(text(n, "lladdr"), "%x:%x:%x:%x:%x:%x", &h.MAC[0], &h.MAC[1], &h.MAC[2], &h.MAC[3], &h.MAC[4], &h.MAC[5])
		states, _ := n["state"].([]any)
		for name, state := range map[string]uint16{"REACHABLE": unix.NUD_REACHABLE, "STALE": unix.NUD_STALE, "DELAY": unix.NUD_DELAY} {
			if len(states) == 1 && states[0] == name {
				h.State = state
			}
		}
		o.Neighbors = append(o.Neighbors, h)
	}
	s.do(func() error {
		for _, key := range SysctlKeys(d) {
			if b, err := os.ReadFile("/proc/sys/" + key); err == nil {
				o.Sysctls[key] = strings.TrimSpace(string(b))
			}
		}
		return nil
	})
	return o
}

// protos are the IFA_PROTO of all addresses, which ip(8) prints from iproute2 6.3 on.
func (s *space) protos() map[linkIP]uint8 {
	protos := map[linkIP]uint8{}
	s.do(func() error {
		b, err := syscall.NetlinkRIB(unix.RTM_GETADDR, unix.AF_UNSPEC)
		if err != nil {
			return err
		}
		messages, err := syscall.ParseNetlinkMessage(b)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if m.Header.Type != unix.RTM_NEWADDR {
				continue
			}
			attrs, err := syscall.ParseNetlinkRouteAttr(&m)
			if err != nil {
				return err
			}
			at := linkIP{link: int(binary.NativeEndian.Uint32(m.Data[4:]))}
			var proto uint8
			for _, a := range attrs {
				switch a.Attr.Type {
				case unix.IFA_ADDRESS:
					at.ip, _ = netip.AddrFromSlice(a.Value)
				case ifaProto:
					proto = a.Value[0]
				}
			}
			protos[at] = proto
		}
		return nil
	})
	return protos
}
