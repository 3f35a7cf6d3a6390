// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// kernel is a host for tests: the model, which refuses the impossible, with what others than
// ipmpd do to it, and the host and operations as ip(8) would have them.
type kernel struct {
	*model
	list []HostLink
}

// newKernel is a host with lo and these interfaces, up, their indexes from 2 on, and the sysctls of
// a fresh kernel.
func newKernel(names ...string) *kernel {
	o := Observed{Sysctls: map[string]string{},
		Links:     []HostLink{{Index: 1, Name: "lo", Up: true, Carrier: true}},
		Addresses: []HostAddress{{Link: 1, Prefix: netip.MustParsePrefix("127.0.0.1/8"), Flags: unix.IFA_F_NOPREFIXROUTE}}}
	for i, name := range names {
		o.Links = append(o.Links, HostLink{Index: i + 2, Name: name, MAC: MAC{2, 0, 0, 0, 0, byte(i + 2)}, Up: true, Carrier: true})
	}
	fresh := map[string]string{"promote_secondaries": "0", "arp_announce": "0", "rp_filter": "0", "arp_evict_nocarrier": "1",
		"ndisc_evict_nocarrier": "1", "keep_addr_on_down": "0"}
	for _, name := range append(names, "all") {
		for _, f := range sysctlNames {
			for _, s := range f.names {
				o.Sysctls[sysctlKey(f.dir, name, s)] = fresh[s]
			}
		}
	}
	return kernelOf(o)
}

func kernelOf(o Observed) *kernel { return &kernel{newModel(&o), o.Links} }

func (k *kernel) observed() Observed { return k.model.observed(k.list) }

func (k *kernel) index(name string) int {
	for _, l := range k.links {
		if l.Name == name {
			return l.Index
		}
	}
	return 0
}

// setLink changes carrier as the kernel does: nexthops over a link without carrier are flushed.
func (k *kernel) setCarrier(name string, carrier bool) {
	for i := range k.list {
		if k.list[i].Name == name {
			k.list[i].Carrier = carrier
			k.links[k.list[i].Index] = k.list[i]
		}
	}
	if carrier {
		return
	}
	for id, n := range k.nexthops {
		if len(n.Hops) == 0 && n.Link == k.index(name) {
			k.dropNexthop(id)
		}
	}
}

// addForeign adds an address as `ip addr add` of an administrator does, with its prefix route
// unless flags say IFA_F_NOPREFIXROUTE.
func (k *kernel) addForeign(name, prefix string, flags uint32, proto uint8) {
	link, p := k.index(name), netip.MustParsePrefix(prefix)
	if k.has(link, p) {
		return
	}
	k.addAddress(HostAddress{Link: link, Prefix: p, Flags: flags | unix.IFA_F_PERMANENT, Proto: proto})
	k.addPrefixRoute(k.addrs[k.find(link, p)])
}

// String is the host, but for lo and link-local addresses, as sorted `ip addr`, `ip route` and
// `ip nexthop` lines.
func (k *kernel) String() string {
	var lines []string
	o := k.observed()
	for _, a := range o.Addresses {
		if a.Link == 1 || a.Prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		s := fmt.Sprintf("ip addr %s dev %s", a.Prefix, k.links[a.Link].Name)
		for _, f := range []struct {
			bit  uint32
			name string
		}{{unix.IFA_F_NOPREFIXROUTE, " noprefixroute"}, {unix.IFA_F_DEPRECATED, " deprecated"}} {
			if a.Flags&f.bit != 0 {
				s += f.name
			}
		}
		lines = append(lines, s)
	}
	for _, r := range o.Routes {
		if r.To.Addr().IsLinkLocalUnicast() {
			continue
		}
		lines = append(lines, "ip route "+k.route(r))
	}
	for _, n := range o.Nexthops {
		lines = append(lines, "ip nexthop "+k.nexthop(n))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (k *kernel) route(r HostRoute) string {
	s := r.To.String()
	if r.To.Bits() == 0 {
		s = "default"
	}
	if r.NHID != 0 {
		s += " nhid " + nhid(r.NHID)
	} else {
		s += " dev " + k.links[r.Link].Name
	}
	if r.Protocol != Protocol {
		s += fmt.Sprintf(" proto %d", r.Protocol)
	}
	if r.Scope == unix.RT_SCOPE_LINK {
		s += " scope link"
	}
	if r.Src.IsValid() {
		s += " src " + r.Src.String()
	}
	if r.Metric != 0 {
		s += fmt.Sprintf(" metric %d", r.Metric)
	}
	return s
}

func (k *kernel) nexthop(n HostNexthop) string {
	s := "id " + nhid(n.ID)
	if len(n.Hops) > 0 {
		hops := make([]string, 0, len(n.Hops))
		for _, h := range n.Hops {
			hops = append(hops, nhid(h))
		}
		return s + " group " + strings.Join(hops, "/")
	}
	if n.Gateway.IsValid() {
		s += " via " + n.Gateway.String()
	}
	return s + " dev " + k.links[n.Link].Name
}

// nhid is an id in words: slot, family, gateway, member.
func nhid(id uint32) string {
	f, ours := idFamily(id)
	if !ours {
		return fmt.Sprint(id)
	}
	gateway, what := "", fmt.Sprint(id&63)
	if id>>6&2047 != 0 {
		gateway = "via-"
	}
	switch id & 63 {
	case idGroup:
		what = "group"
	case idStanding:
		what = "standing"
	}
	return fmt.Sprintf("%d-v%d-%s%s", id>>18&63, 4+2*f, gateway, what)
}

// shell is an operation as its command.
func (k *kernel) shell(op Op) string {
	switch op.Kind {
	case SetSysctl:
		return "sysctl " + op.Key + "=" + op.Value
	case AddNeighbor:
		return fmt.Sprintf("ip neigh replace %s lladdr %x dev %s", op.IP, op.MAC, op.LinkName)
	case SetNexthop:
		return "ip nexthop replace " + k.nexthop(HostNexthop{ID: op.ID, Link: op.Link, Gateway: op.Gateway})
	case SetNexthopGroup:
		return "ip nexthop replace " + k.nexthop(HostNexthop{ID: op.ID, Hops: op.Hops})
	case DeleteNexthop:
		return "ip nexthop del id " + nhid(op.ID)
	case AddAddress:
		s := fmt.Sprintf("ip addr replace %s dev %s", op.Prefix, op.LinkName)
		if op.Test {
			s += " test"
		}
		return s
	case DeleteAddress:
		return fmt.Sprintf("ip addr del %s dev %s", op.Prefix, op.LinkName)
	case RestoreAddress:
		s := fmt.Sprintf("ip addr add %s dev %s proto %d", op.Prefix, op.LinkName, op.Protocol)
		if op.Flags&unix.IFA_F_NOPREFIXROUTE != 0 {
			s += " noprefixroute"
		}
		return s
	case RestoreRoute:
		return "ip route replace " + k.route(*op.Was)
	case DeleteNeighbor:
		return fmt.Sprintf("ip neigh del %s dev %s", op.IP, op.LinkName)
	}
	r := HostRoute{Protocol: uint8(op.Protocol), Metric: op.Metric, To: op.Prefix, Src: op.Src, NHID: op.ID, Link: op.Link}
	if op.OnLink && op.Prefix.Addr().Is4() {
		r.Scope = unix.RT_SCOPE_LINK
	}
	switch op.Kind {
	case SetRoute:
		return "ip route replace " + k.route(r)
	case RestoreConnected:
		return "ip route append " + k.route(r)
	}
	return "ip route del " + k.route(r)
}

// run lets the operations happen; none may be refused, and each has a reason.
func (k *kernel) run(t require.TestingT, ops []Op) string {
	lines := make([]string, 0, len(ops))
	for i := range ops {
		line := k.shell(ops[i])
		require.NoError(t, k.apply(&ops[i]), "step %d, %s, on\n%s", i, line, k)
		require.NotEmpty(t, ops[i].Why, line)
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// TestKernel holds the fake to what Linux 6.18 was seen to do.
func TestKernel(t *testing.T) {
	ip := netip.MustParseAddr
	group, hop := nexthopID(0, 0, 0, idGroup), nexthopID(0, 0, 0, 0)
	fresh := func() *kernel {
		k := newKernel("hme0", "hme1")
		k.addForeign("hme0", "192.0.2.10/24", 0, 0)
		k.addForeign("hme0", "192.0.2.11/24", 0, 0)
		k.run(t, []Op{
			{Kind: SetNexthop, ID: hop, Link: 2, Why: "test"},
			{Kind: SetNexthopGroup, ID: group, Hops: []uint32{hop}, Why: "test"},
		})
		return k
	}
	route := Op{Kind: SetRoute, ID: group, Prefix: netip.MustParsePrefix("0.0.0.0/0"), Table: 254, Src: ip("192.0.2.10")}
	remove := Op{Kind: DeleteAddress, Link: 2, Prefix: netip.MustParsePrefix("192.0.2.10/24")}

	t.Run("the last copy of a source takes its routes along", func(t *testing.T) {
		k := fresh()
		k.sysctls["net/ipv4/conf/hme0/promote_secondaries"] = "1"
		require.NoError(t, k.apply(&route))
		require.NoError(t, k.apply(&remove))
		require.Equal(t, "ip addr 192.0.2.11/24 dev hme0\n"+
			"ip nexthop id 0-v4-0 dev hme0\nip nexthop id 0-v4-group group 0-v4-0\n"+
			"ip route 192.0.2.0/24 dev hme0 proto 2 scope link src 192.0.2.11", k.String())
	})
	t.Run("the primary takes the secondaries along", func(t *testing.T) {
		k := fresh()
		require.NoError(t, k.apply(&remove))
		require.Equal(t, "ip nexthop id 0-v4-0 dev hme0\nip nexthop id 0-v4-group group 0-v4-0", k.String())
	})
	t.Run("carrier loss takes nexthops, empty groups and their routes along", func(t *testing.T) {
		k := fresh()
		require.NoError(t, k.apply(&route))
		k.setCarrier("hme0", false)
		require.Equal(t, "ip addr 192.0.2.10/24 dev hme0\nip addr 192.0.2.11/24 dev hme0\n"+
			"ip route 192.0.2.0/24 dev hme0 proto 2 scope link src 192.0.2.10", k.String())
	})
	t.Run("refused", func(t *testing.T) {
		k := fresh()
		k.setCarrier("hme1", false)
		before := k.String()
		for _, op := range []Op{
			{Kind: SetNexthop, ID: nexthopID(0, 0, 0, 1), Link: 3},
			{Kind: SetNexthop, ID: hop, Link: 2, Gateway: ip("192.0.2.11")},
			{Kind: SetNexthop, ID: group, Link: 2},
			{Kind: SetNexthopGroup, ID: group},
			{Kind: SetNexthopGroup, ID: group, Hops: []uint32{hop + 1}},
			{Kind: DeleteNexthop, ID: hop + 1},
			{Kind: SetRoute, ID: group + 1, Prefix: route.Prefix, Table: 254},
			{Kind: SetRoute, ID: group, Prefix: netip.MustParsePrefix("::/0"), Table: 254},
			{Kind: SetRoute, ID: group, Prefix: route.Prefix, Table: 254, Src: ip("192.0.2.12")},
			{Kind: DeleteRoute, Prefix: route.Prefix, Table: 254, Protocol: Protocol},
			{Kind: DeleteAddress, Link: 3, Prefix: remove.Prefix},
			{Kind: AddAddress, Link: 9, Prefix: remove.Prefix},
			{Kind: SetSysctl, Key: "net/ipv4/conf/hme9/rp_filter", Value: "2"},
		} {
			require.Error(t, k.apply(&op), k.shell(op))
			require.Equal(t, before, k.String())
		}
	})
}
