// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// apply does one operation as the kernel would; an error says what it refuses, and then nothing
// has changed.
func (m *model) apply(op *Op) error {
	switch op.Kind {
	case SetSysctl:
		if _, ok := m.sysctls[op.Key]; !ok {
			return fmt.Errorf("set %s: no such file", op.Key)
		}
		m.sysctls[op.Key] = op.Value
	case AddNeighbor:
		if _, ok := m.links[op.Link]; !ok {
			return fmt.Errorf("add neighbour %s: no interface %d", op.IP, op.Link)
		}
		m.neighbors[linkIP{op.Link, op.IP}] = HostNeighbor{Link: op.Link, IP: op.IP, MAC: op.MAC,
			State: unix.NUD_REACHABLE, Protocol: Protocol}
	case SetNexthop, SetNexthopGroup:
		return m.setNexthop(op)
	case AddAddress:
		return m.setAddress(op)
	case SetRoute:
		return m.setRoute(op)
	case RestoreRoute:
		return m.restoreRoute(op)
	case DeleteRoute:
		return m.deleteRoute(op)
	case DeleteAddress:
		return m.deleteAddress(op)
	case DeleteNexthop:
		if _, ok := m.nexthops[op.ID]; !ok {
			return fmt.Errorf("delete nexthop %#x: no such nexthop", op.ID)
		}
		m.dropNexthop(op.ID)
	case JoinMulticast, LeaveMulticast:
	case RestoreAddress:
		return m.restoreAddress(op)
	case RestoreConnected:
		return m.restoreConnected(op)
	case DeleteNeighbor:
		at := linkIP{op.Link, op.IP}
		if _, ok := m.neighbors[at]; !ok {
			return fmt.Errorf("delete neighbour %s on interface %d: no such entry", op.IP, op.Link)
		}
		delete(m.neighbors, at)
	default:
		return fmt.Errorf("operation %d is unknown", op.Kind)
	}
	return nil
}

func (m *model) setNexthop(op *Op) error {
	was, exists := m.nexthops[op.ID]
	if exists && (len(was.Hops) > 0) != (op.Kind == SetNexthopGroup) {
		return fmt.Errorf("replace nexthop %#x: a group and a nexthop cannot replace each other", op.ID)
	}
	n := HostNexthop{ID: op.ID, Protocol: Protocol}
	if op.Kind == SetNexthop {
		link := m.links[op.Link]
		switch {
		case !link.Up:
			return fmt.Errorf("replace nexthop %#x: device %d is not up", op.ID, op.Link)
		case !link.Carrier:
			return fmt.Errorf("replace nexthop %#x: carrier of device %d is down", op.ID, op.Link)
		case op.Gateway.IsValid() && len(m.byIP[op.Gateway]) > 0:
			return fmt.Errorf("replace nexthop %#x: gateway %s is ours", op.ID, op.Gateway)
		case op.Gateway.Is4() && m.ipv4 == 0:
			return fmt.Errorf("replace nexthop %#x: gateway %s is invalid on a host without IPv4", op.ID, op.Gateway)
		}
		n.Link, n.Gateway = op.Link, op.Gateway
	} else {
		if len(op.Hops) == 0 {
			return fmt.Errorf("replace nexthop group %#x: it is empty", op.ID)
		}
		for _, hop := range op.Hops {
			if h, ok := m.nexthops[hop]; !ok || len(h.Hops) > 0 {
				return fmt.Errorf("replace nexthop group %#x: no nexthop %#x", op.ID, hop)
			}
		}
		n.Hops, n.Weights = slices.Clone(op.Hops), slices.Clone(op.Weights)
	}
	m.nexthops[op.ID] = n
	return nil
}

// dropNexthop takes it out of its groups too; an empty group goes, and with it its routes.
func (m *model) dropNexthop(id uint32) {
	delete(m.nexthops, id)
	for _, g := range m.nexthops {
		if i := slices.Index(g.Hops, id); i >= 0 {
			if len(g.Hops) == 1 {
				m.dropNexthop(g.ID)
				continue
			}
			g.Hops = slices.Delete(slices.Clone(g.Hops), i, i+1)
			if g.Weights != nil {
				g.Weights = evenly(slices.Delete(slices.Clone(g.Weights), i, i+1))
			}
			m.nexthops[g.ID] = g
		}
	}
	m.dropRoutes(func(r HostRoute) bool { return r.NHID == id })
}

func (m *model) dropRoutes(gone func(HostRoute) bool) {
	for key, list := range m.routes {
		if slices.ContainsFunc(list, gone) {
			m.routes[key] = slices.DeleteFunc(slices.Clone(list), func(r HostRoute) bool {
				if gone(r) {
					m.sources[r.Src]--
					return true
				}
				return false
			})
		}
	}
}

func (m *model) setAddress(op *Op) error {
	if _, ok := m.links[op.Link]; !ok {
		return fmt.Errorf("add %s: no interface %d", op.Prefix, op.Link)
	}
	i := m.find(op.Link, op.Prefix)
	if op.Prefix.Addr().Is4() {
		if i < 0 { // a replacement leaves the flags of IPv4 as they are
			form := op.Form
			if form.Label == "" {
				form.Label = m.links[op.Link].Name
			}
			if !form.Broadcast.IsValid() && op.Prefix.Bits() < 31 {
				form.Broadcast = broadcast(op.Prefix)
			}
			m.addAddress(HostAddress{Link: op.Link, Prefix: op.Prefix, Proto: Protocol, Form: form, At: op.At,
				Flags: unix.IFA_F_PERMANENT | unix.IFA_F_NOPREFIXROUTE})
		}
		return nil
	}
	flags := uint32(unix.IFA_F_PERMANENT | unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD)
	if op.Test {
		flags |= unix.IFA_F_DEPRECATED
	}
	if i < 0 {
		m.addAddress(HostAddress{Link: op.Link, Prefix: op.Prefix, Flags: flags, Proto: Protocol, Form: op.Form, At: op.At})
		return nil
	}
	a := &m.addrs[i]
	a.Flags, a.Proto, a.Form, a.At = flags|a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED), Protocol, op.Form, op.At
	m.dropPrefixRoute(*a)
	return nil
}

// dropPrefixRoute takes the kernel's route of an IPv6 address away, unless another address of the
// link needs it.
func (m *model) dropPrefixRoute(a HostAddress) {
	for _, i := range m.bySubnet[subnetOf(a)] {
		if other := m.addrs[i]; other.Link == a.Link && other.Flags&unix.IFA_F_NOPREFIXROUTE == 0 {
			return
		}
	}
	m.dropRoutes(func(r HostRoute) bool { return m.kernelRoute(r, a.Link, a.Prefix.Masked()) })
}

func (m *model) kernelRoute(r HostRoute, link int, to netip.Prefix) bool {
	return r.Protocol == unix.RTPROT_KERNEL && r.Link == link && r.To == to && r.Table == m.table(link)
}

func (m *model) setRoute(op *Op) error {
	if _, ok := m.nexthops[op.ID]; !ok {
		return fmt.Errorf("replace route %s: no nexthop %#x", op.Prefix, op.ID)
	}
	if family, ours := idFamily(op.ID); ours && family != op.Family() {
		return fmt.Errorf("replace route %s: nexthop %#x is of the other family", op.Prefix, op.ID)
	}
	if op.Src.IsValid() && !m.source(op.Src) {
		return fmt.Errorf("replace route %s: source %s is not there", op.Prefix, op.Src)
	}
	r := HostRoute{Table: op.Table, Protocol: Protocol, Metric: op.Metric, To: op.Prefix, Src: op.Src, NHID: op.ID, Metrics: op.Metrics}
	if op.OnLink && op.Prefix.Addr().Is4() {
		r.Scope = unix.RT_SCOPE_LINK
	}
	return m.replaceRoute(r)
}

// restoreRoute puts a route with a next hop of its own back.
func (m *model) restoreRoute(op *Op) error {
	for _, h := range op.Was.hops() {
		if link, exists := m.links[h.Link]; !exists {
			return fmt.Errorf("restore route %s: no interface %d", op.Was.To, h.Link)
		} else if !link.Up {
			return fmt.Errorf("restore route %s: device %d is not up", op.Was.To, h.Link)
		}
	}
	switch {
	case op.Was.Src.IsValid() && !m.source(op.Was.Src):
		return fmt.Errorf("restore route %s: source %s is not there", op.Was.To, op.Was.Src)
	}
	return m.replaceRoute(*op.Was)
}

// replaceRoute is NLM_F_REPLACE.
func (m *model) replaceRoute(r HostRoute) error {
	key := keyOf(r)
	at := m.replaced(key)
	if at < 0 {
		m.insertRoute(r)
		return nil
	}
	list := slices.Clone(m.routes[key])
	if i := slices.Index(list, r); i >= 0 && i != at {
		return fmt.Errorf("replace route %s: it exists behind another", r.To)
	}
	m.sources[list[at].Src]--
	m.sources[r.Src]++
	list[at] = r
	m.routes[key] = list
	return nil
}

func (m *model) deleteRoute(op *Op) error {
	key := routeKey{op.Table, op.Prefix, op.Metric}
	i := slices.IndexFunc(m.routes[key], func(r HostRoute) bool {
		return int(r.Protocol) == op.Protocol && (op.ID == 0 || r.NHID == op.ID) &&
			(op.Link == 0 || r.Link == op.Link) && (!op.Src.IsValid() || r.Src == op.Src)
	})
	if i < 0 {
		return fmt.Errorf("delete route %s: no such route", op.Prefix)
	}
	m.sources[m.routes[key][i].Src]--
	m.routes[key] = slices.Delete(slices.Clone(m.routes[key]), i, i+1)
	return nil
}

func (m *model) deleteAddress(op *Op) error {
	i := m.find(op.Link, op.Prefix)
	if i < 0 {
		return fmt.Errorf("delete %s on interface %d: no such address", op.Prefix, op.Link)
	}
	a, subnet := m.addrs[i], subnetOf(m.addrs[i])
	primary := a.Prefix.Addr().Is4() && m.primary(subnet) == i
	m.dropAddress(i)
	if a.Flags&unix.IFA_F_NOPREFIXROUTE == 0 {
		if a.Prefix.Addr().Is6() {
			m.dropPrefixRoute(a)
		} else if primary {
			m.dropRoutes(func(r HostRoute) bool { return m.kernelRoute(r, a.Link, subnet.prefix) && r.Src == a.Prefix.Addr() })
		}
	}
	if !primary {
		return nil
	}
	if !m.promotes(a.Link) {
		for next := m.primary(subnet); next >= 0; next = m.primary(subnet) {
			m.dropAddress(next)
		}
	} else if next := m.primary(subnet); next >= 0 {
		// It goes behind the last primary one of the interface.
		m.addPrefixRoute(m.addrs[m.moveBack(next)])
	}
	return nil
}

// dropAddress takes one address away. With the last copy of an IPv4 address go the routes that
// prefer it as their source; those of IPv6 stay and forget it.
func (m *model) dropAddress(i int) {
	a := m.addrs[i]
	ip := a.Prefix.Addr()
	delete(m.at, linkPrefix{a.Link, a.Prefix})
	m.byIP[ip] = slices.DeleteFunc(slices.Clone(m.byIP[ip]), func(j int) bool { return j == i })
	m.addrs[i].Link = 0
	if ip.Is4() {
		m.ipv4--
	}
	if len(m.byIP[ip]) > 0 || m.sources[ip] == 0 {
		return
	}
	if ip.Is4() {
		m.dropRoutes(func(r HostRoute) bool { return r.Src == ip })
		return
	}
	for key, list := range m.routes {
		for j := range list {
			if list[j].Src == ip {
				list = slices.Clone(list)
				list[j].Src = netip.Addr{}
				m.routes[key] = list
			}
		}
	}
	m.sources[ip] = 0
}
