// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"slices"
)

// solarisInterface is what ifconfig would have made of an interface. Group and standby are the
// interface's, everything else is that of one of its addresses ("logical interface").
type solarisInterface struct {
	name    string
	at      word
	ipmp    bool // the group's own interface of illumos: it has the data addresses
	group   word // text "": in none
	standby word // text "": it is no standby
	units   []*solarisUnit
}

// solarisUnit is a logical interface: hme0, hme0:1 …
type solarisUnit struct {
	v6         bool
	address    word // as it was named; text "": none
	is         netip.Addr
	length     int  // written behind it; -1: none
	mask       word // the value of netmask; text "": none
	broadcast  word
	up         bool
	test       word // `-failover`; text "": it fails over
	deprecated word // text "": it is not
}

// notOurs are words of Solaris' ifconfig that nothing here understands. None of them is taken for
// the name of a host.
var notOurs = []string{
	"anycast", "-anycast", "arp", "-arp", "auto-dhcp", "auto-revarp", "create", "destroy", "dhcp", "drop", "ether",
	"extend", "ifid", "inet", "inet6", "inform", "index", "local", "-local", "metric", "modlist", "modinsert", "modremove",
	"mtu", "nud", "-nud", "ping", "plumb", "preferred", "-preferred", "primary", "private", "-private", "release", "removeif",
	"revarp", "router", "-router", "set", "start", "status", "subnet", "thost", "token", "trailers", "-trailers", "tsrc",
	"tdst", "tunnel", "unplumb", "usesrc", "vrrp", "wait", "xmit", "-xmit", "zone", "-zone", "all-zones", "destination",
	"encr_algs", "encr_auth_algs", "auth_algs", "encaplimit", "-encaplimit", "options",
}

// ours are the words of the specification, section 8.2.
var ours = []string{"group", "addif", "deprecated", "-deprecated", "failover", "-failover", "standby", "-standby", "up", "down",
	"netmask", "broadcast", "ipmp"}

const wordAdvice = "write an address, a host of etc/hosts, or one of group addif deprecated failover standby up down netmask broadcast"

// unit 0 of a family, which is there from the first call on.
func (m *solarisInterface) unit(v6 bool) *solarisUnit {
	for _, u := range m.units {
		if u.v6 == v6 {
			return u
		}
	}
	return m.addUnit(v6)
}

func (m *solarisInterface) addUnit(v6 bool) *solarisUnit {
	u := &solarisUnit{v6: v6}
	m.units = append(m.units, u)
	return u
}

// ifconfig carries out one call: words apply to unit 0, after `addif` to the unit that it made.
func (m *solarisInterface) ifconfig(r *solarisReader, words []word, v6 bool) error {
	u := m.unit(v6)
	for len(words) > 0 {
		w := words[0]
		words = words[1:]
		switch w.text {
		case "group", "addif", "netmask", "broadcast":
			if len(words) == 0 || slices.Contains(ours, words[0].text) || slices.Contains(notOurs, words[0].text) {
				return w.wrong("write one behind it", "%s", missing[w.text])
			}
			value := words[0]
			words = words[1:]
			if w.text == "addif" {
				u = m.addUnit(v6)
				if err := m.setAddress(r, u, value); err != nil {
					return err
				}
				continue
			}
			if err := m.set(u, w, value); err != nil {
				return err
			}
		case "standby", "-failover":
			if m.ipmp {
				return w.wrong("move it to the interfaces of the group", "an interface of kind ipmp cannot have it")
			}
			if w.text == "standby" {
				m.standby = w
			} else {
				u.test = w
			}
		case "-standby":
			m.standby = word{}
		case "failover":
			u.test = word{}
		case "deprecated":
			u.deprecated = w
		case "-deprecated":
			u.deprecated = word{}
		case "up", "down":
			u.up = w.text == "up"
		default:
			if err := m.setAddress(r, u, w); err != nil {
				return err
			}
		}
	}
	return nil
}

var missing = map[string]string{"group": "no name of a group", "addif": "no address", "netmask": "no netmask", "broadcast": "no broadcast address"}

// set the value of a word that has one.
func (m *solarisInterface) set(u *solarisUnit, w, value word) error {
	switch w.text {
	case "group":
		if value.text == `""` || value.text == `''` {
			m.group = word{}
			return nil
		}
		if m.group.text != "" && m.group.text != value.text {
			return value.wrong("leave it in one of them", "interface %s is in group %s already, by %s", m.name, m.group, m.group.place())
		}
		if !groupName.MatchString(value.text) || len(value.text) > maxGroupName {
			return value.wrong("use 1 .. 31 of A-Za-z0-9._- , first a letter or digit", "this is no name for a group")
		}
		m.group = value
	case "netmask":
		if u.v6 {
			return w.wrong("write the length behind the address, as 2001:db8::10/64", "IPv6 has none")
		}
		u.mask = value
	case "broadcast":
		if u.v6 {
			return w.wrong("remove it", "IPv6 has none")
		}
		u.broadcast = value
	}
	return nil
}

// setAddress takes a word that is no keyword for the address of a unit.
func (m *solarisInterface) setAddress(r *solarisReader, u *solarisUnit, w word) error {
	switch {
	case w.text == "ipmp":
		return w.wrong("write it first, or remove it", "it can only be the first word of its file")
	case slices.Contains(notOurs, w.text):
		return w.wrong(wordAdvice, "ipmpd has nothing for this word of ifconfig")
	case w.text[0] == '-' || w.text[0] == '+':
		return w.wrong(wordAdvice, "this is no word that ipmpd knows")
	case u.address.text != "" && u.address.text != w.text:
		return w.wrong(wordAdvice, "this is no word that ipmpd knows, and the address is %s already", u.address)
	}
	u.address = w
	var err error
	u.is, u.length, err = r.resolve(w, u.v6)
	return err
}
