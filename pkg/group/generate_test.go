// SPDX-License-Identifier: Apache-2.0

package group

import (
	"net/netip"

	"pgregory.net/rapid"
)

// Generators for the properties: 2 to 8 members, up to 64 addresses, all that New and Step may be
// given, also what makes no sense.

var (
	genBools  = rapid.Custom(func(t *rapid.T) [2]bool { return [2]bool{genBool.Draw(t, "4"), genBool.Draw(t, "6")} })
	genBool   = rapid.Bool()
	genFamily = rapid.SampledFrom([]Family{IPv4, IPv6, Both})
	genHealth = rapid.SampledFrom([]Health{Unknown, OK, OK, Failed, Failed})
	genCause  = rapid.SampledFrom([]Cause{CauseProbe, CauseProbe, CauseLink})
	genTwin   = rapid.SampledFrom([]string{"", "", "twin", "other"})
	genLink   = rapid.SampledFrom([]Link{LinkUp, LinkUp, LinkUp, LinkDown, LinkUnknown})
)

func genConfig(t *rapid.T) Config {
	cfg := Config{Name: "g", Failback: genBool.Draw(t, "failback")}
	for range rapid.IntRange(2, 8).Draw(t, "members") {
		cfg.Members = append(cfg.Members, MemberConfig{
			Standby: rapid.IntRange(0, 2).Draw(t, "standby") == 0,
			Probed:  rapid.SampledFrom([][2]bool{{true, true}, {true, true}, {true, false}, {false, false}}).Draw(t, "probed"),
		})
	}
	var homes []int // what pkg/config gives: normal members, round robin
	for i, m := range cfg.Members {
		if !m.Standby {
			homes = append(homes, i)
		}
	}
	for i := range rapid.IntRange(0, 64).Draw(t, "addresses") {
		home := -1
		if len(homes) > 0 {
			home = homes[i%len(homes)]
		}
		cfg.Addresses = append(cfg.Addresses, AddressConfig{genPrefix(t, i), home})
	}
	return cfg
}

// genPrefix is a data address of either family.
func genPrefix(t *rapid.T, i int) netip.Prefix {
	if genBool.Draw(t, "ipv4") {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 24)
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 15: byte(i)}), 64)
}

func genStart(t *rapid.T, cfg Config) Start {
	var s Start
	if genBool.Draw(t, "cold") {
		for range cfg.Members {
			s.Members = append(s.Members, MemberStart{Exists: true, Link: LinkUp})
		}
		return s
	}
	for range rapid.IntRange(0, len(cfg.Members)).Draw(t, "known") {
		s.Members = append(s.Members, genMemberStart(t))
	}
	for range rapid.IntRange(0, len(cfg.Addresses)).Draw(t, "owners") {
		s.Owners = append(s.Owners, rapid.IntRange(-1, len(cfg.Members)).Draw(t, "owner"))
	}
	return s
}

func genMemberStart(t *rapid.T) MemberStart {
	return MemberStart{
		Exists:    rapid.IntRange(0, 4).Draw(t, "exists") > 0,
		Link:      genLink.Draw(t, "link"),
		Offline:   rapid.IntRange(0, 4).Draw(t, "offline") == 0,
		Suspended: genTwin.Draw(t, "suspended"),
		Health:    [2]Health{genHealth.Draw(t, "4"), genHealth.Draw(t, "6")},
		Inactive:  genBools.Draw(t, "inactive"),
	}
}

// genEvent for a group of n members; now and then for one that it does not have.
func genEvent(t *rapid.T, n int) Event {
	m := rapid.IntRange(0, n-1).Draw(t, "member")
	if rapid.IntRange(0, 30).Draw(t, "stray") == 0 {
		m = rapid.SampledFrom([]int{-1, n, 31, 32, 64, 1 << 40}).Draw(t, "nobody")
	}
	switch rapid.IntRange(0, 14).Draw(t, "kind") {
	case 0, 1, 2, 3:
		return HealthChanged{m, genFamily.Draw(t, "family"), genHealth.Draw(t, "health"), genCause.Draw(t, "cause"), "detail"}
	case 4, 5, 6:
		return LinkChanged{m, genLink.Draw(t, "link"), "carrier"}
	case 7, 8:
		return PresenceChanged{m, rapid.IntRange(0, 2).Draw(t, "exists") > 0}
	case 9:
		return Offline{m, genBool.Draw(t, "force")}
	case 10:
		return Online{m}
	case 11:
		return ProbingChanged{m, genBools.Draw(t, "probed")}
	case 12:
		return GroupFailed{genCause.Draw(t, "cause"), "silent"}
	case 13:
		return Suspended{m, genTwin.Draw(t, "why")}
	default:
		return rapid.SampledFrom([]Event{GroupRepaired{}, nil, HealthChanged{m, 7, 9, 9, ""}}).Draw(t, "odd")
	}
}

// everythingGood is every finding that says so, for every member.
func everythingGood(n int) []Event {
	var events []Event
	for i := range n {
		events = append(events, PresenceChanged{i, true}, LinkChanged{i, LinkUp, ""}, Online{i}, Suspended{Member: i},
			HealthChanged{Member: i, Family: Both, Health: OK})
	}
	return events
}
