// SPDX-License-Identifier: Apache-2.0

package addr

import "net/netip"

// ways are the gates of one group while its routes are gone through, each once.
type ways struct {
	group   *Group
	numbers [2]map[string]int // by family and gatewayKey
	gates   map[way]*gate
	list    []*gate
}

type way struct {
	family int
	via    netip.Addr
	over   Hops
}

func newWays(g *Group) *ways {
	var keys [2][]string
	for _, r := range g.Routes {
		family := familyOf(r.To.Addr())
		for _, via := range r.Gateways() {
			if via.IsValid() {
				keys[family] = append(keys[family], gatewayKey(via, ""))
			}
		}
		if r.Hops != "" {
			keys[family] = append(keys[family], gatewayKey(r.Via, r.Hops))
		}
	}
	w := &ways{group: g, gates: make(map[way]*gate)}
	for f := range keys {
		w.numbers[f] = gatewayNumbers(keys[f])
	}
	return w
}

// gate of a way. One by several gateways brings those by each of them along: their device nexthops are
// what its group is made of.
func (w *ways) gate(family int, via netip.Addr, over Hops, src netip.Addr) *gate {
	if over != "" {
		via = netip.Addr{}
	}
	at := way{family, via, over}
	if g := w.gates[at]; g != nil {
		return g
	}
	g := &gate{group: w.group, family: family, via: via, src: src}
	if over != "" || via.IsValid() {
		g.number = w.numbers[family][gatewayKey(via, over)]
	}
	for _, h := range over.List() {
		g.parts = append(g.parts, w.gate(family, h.Via, "", src))
		g.weights = append(g.weights, h.Weight)
	}
	w.gates[at] = g
	w.list = append(w.list, g)
	return g
}
