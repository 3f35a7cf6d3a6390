// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// solarisHosts has the addresses of names in lower case.
type solarisHosts map[string][]netip.Addr

func (r *solarisReader) readHosts() (solarisHosts, error) {
	lines, err := r.lines("etc/hosts", true)
	if err != nil {
		return nil, err
	}
	hosts := make(solarisHosts)
	for _, line := range lines {
		a, err := netip.ParseAddr(line[0].text)
		if err != nil {
			return nil, line[0].wrong("write the address first, then the names", "this is no address")
		}
		if len(line) == 1 {
			return nil, line[0].wrong("write one behind it", "the address has no name")
		}
		for _, name := range line[1:] {
			key := strings.ToLower(name.text)
			if !slices.Contains(hosts[key], a) {
				hosts[key] = append(hosts[key], a)
			}
		}
	}
	return hosts, nil
}

// resolve an address, or the one address of a host, with the length where one is written behind it;
// else -1.
func (r *solarisReader) resolve(w word, v6 bool) (netip.Addr, int, error) {
	name, length, slash := strings.Cut(w.text, "/")
	family, longest := "IPv4", 32
	if v6 {
		family, longest = "IPv6", 128
	}
	literal, err := netip.ParseAddr(name)
	isLiteral := err == nil
	if isLiteral && (literal.Is4() == v6 || literal.Is4In6() || literal.Zone() != "") {
		return netip.Addr{}, 0, w.wrong("write an "+family+" address", "this is no plain %s address", family)
	}
	n := -1
	if slash {
		v, err := strconv.Atoi(length)
		if err != nil || v < 1 || v > longest || strconv.Itoa(v) != length {
			return netip.Addr{}, 0, w.wrong("write 1 .. "+strconv.Itoa(longest), "%q is no length of a subnet", length)
		}
		n = v
	}
	if isLiteral {
		return literal, n, nil
	}
	var found []netip.Addr
	for _, a := range r.hosts[strings.ToLower(name)] {
		if a.Is4() != v6 && !a.Is4In6() && a.Zone() == "" {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 0:
		return netip.Addr{}, 0, w.wrong(wordAdvice, "this is no word that ipmpd knows, and no host with an %s address in %s", family, r.path("etc/hosts"))
	case 1:
		return found[0], n, nil
	}
	return netip.Addr{}, 0, w.wrong("write the address", "%s has %d %s addresses for it", r.path("etc/hosts"), len(found), family)
}

// solarisMask is a line of netmasks(4).
type solarisMask struct {
	network netip.Addr
	length  int
}

func (r *solarisReader) readMasks() ([]solarisMask, error) {
	lines, err := r.lines("etc/netmasks", true)
	if err != nil {
		return nil, err
	}
	var masks []solarisMask
	for _, line := range lines {
		network, err := netip.ParseAddr(line[0].text)
		if err != nil || !network.Is4() {
			return nil, line[0].wrong("write network and netmask, as 192.0.2.0 255.255.255.0", "this is no IPv4 network")
		}
		if len(line) == 1 {
			return nil, line[0].wrong("write it behind the network", "the network has no netmask")
		}
		length, ok := maskLength(line[1].text)
		if !ok {
			return nil, line[1].wrong("write one, as 255.255.255.0", "this is no netmask")
		}
		if len(line) > 2 {
			return nil, line[2].wrong("remove it", "a line has a network and a netmask")
		}
		masks = append(masks, solarisMask{network, length})
	}
	return masks, nil
}

// maskLength of a netmask in dots or in hex.
func maskLength(s string) (int, bool) {
	var mask uint32
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		b := a.As4()
		mask = binary.BigEndian.Uint32(b[:])
	} else if hex, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok && len(hex) == 8 {
		v, err := strconv.ParseUint(hex, 16, 32)
		if err != nil {
			return 0, false
		}
		mask = uint32(v)
	} else {
		return 0, false
	}
	n := bits.LeadingZeros32(^mask)
	return n, n > 0 && mask<<n == 0
}

// maskOf an address, `netmask +`: the longest of the subnets that hold it (RFC 1519), else that of
// its whole network by class (RFC 950).
func (r *solarisReader) maskOf(a netip.Addr) (int, bool) {
	best := 0
	for _, m := range r.masks {
		if p := netip.PrefixFrom(a, m.length).Masked(); p.Addr() == m.network {
			best = max(best, m.length)
		}
	}
	if best > 0 {
		return best, true
	}
	network := netip.PrefixFrom(a, classLength(a)).Masked().Addr()
	for _, m := range r.masks {
		if m.network == network {
			return m.length, true
		}
	}
	return 0, false
}

// classLength of the network that an address was part of before CIDR.
func classLength(a netip.Addr) int {
	switch first := a.As4()[0]; {
	case first < 128:
		return 8
	case first < 192:
		return 16
	}
	return 24
}
