// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"net/netip"
	"strconv"
	"strings"
)

// Hop is one of several next hops of a route.
type Hop struct {
	// Link is the interface index; 0 in a Route, which goes over whatever members carry traffic.
	Link int
	// Via is the gateway; the zero Addr: on link.
	Via netip.Addr
	// Weight, 1 .. 256.
	Weight int
	// Flags of RTNH_F_*, only ONLINK.
	Flags uint32
}

// Hops are several next hops in their order, as text, because routes are compared: `LINK VIA WEIGHT FLAGS`,
// with commas between them. "": the route has one next hop, which its other fields say.
type Hops string

// HopsOf a list.
func HopsOf(list []Hop) Hops {
	var b strings.Builder
	for i, h := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		via := "-"
		if h.Via.IsValid() {
			via = h.Via.String()
		}
		b.WriteString(strconv.Itoa(h.Link) + " " + via + " " + strconv.Itoa(h.Weight) + " " + strconv.Itoa(int(h.Flags)))
	}
	return Hops(b.String())
}

// List is the way back. What is not a list of hops (they also come from the state file) is none.
func (h Hops) List() []Hop {
	if h == "" {
		return nil
	}
	var list []Hop
	for one := range strings.SplitSeq(string(h), ",") {
		words := strings.Fields(one)
		if len(words) != 4 {
			return nil
		}
		link, err1 := strconv.Atoi(words[0])
		weight, err2 := strconv.Atoi(words[2])
		flags, err3 := strconv.ParseUint(words[3], 10, 32)
		hop := Hop{Link: link, Weight: weight, Flags: uint32(flags)}
		if words[1] != "-" {
			var err error
			if hop.Via, err = netip.ParseAddr(words[1]); err != nil {
				return nil
			}
		}
		if err1 != nil || err2 != nil || err3 != nil || link < 0 || weight < 1 || weight > 256 {
			return nil
		}
		list = append(list, hop)
	}
	return list
}

// hops of a route without a nexthop object, one or several.
func (h *HostRoute) hops() []Hop {
	if h.Hops != "" {
		return h.Hops.List()
	}
	return []Hop{{Link: h.Link, Via: h.Via, Weight: 1, Flags: h.Flags}}
}

// Gateways that the route spreads over; the zero Addr: on link.
func (r *Route) Gateways() []netip.Addr {
	if r.Hops == "" {
		return []netip.Addr{r.Via}
	}
	var list []netip.Addr
	for _, h := range r.Hops.List() {
		list = append(list, h.Via)
	}
	return list
}

// spread is what becomes of next hops when each gateway is reached over any member: the gateways, each
// once, with what its hops weighed together. Of one gateway, or none, it is that and "".
func spread(list []Hop) (first netip.Addr, over Hops) {
	var merged []Hop
	at := map[netip.Addr]int{}
	for _, h := range list {
		i, known := at[h.Via]
		if !known {
			i = len(merged)
			at[h.Via] = i
			merged = append(merged, Hop{Via: h.Via})
		}
		merged[i].Weight += h.Weight
	}
	common, most := 0, 0
	for _, h := range merged {
		common, most = gcd(common, h.Weight), max(most, h.Weight)
	}
	for i := range merged {
		w := &merged[i].Weight
		if *w /= common; most/common > maxWeight {
			*w = max(1, *w*maxWeight/(most/common))
		}
	}
	if len(merged) < 2 {
		return merged[0].Via, ""
	}
	return merged[0].Via, HopsOf(merged)
}

// maxWeight of a nexthop in a group; the kernel keeps it less one in a byte.
const maxWeight = 256

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
