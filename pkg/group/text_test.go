// SPDX-License-Identifier: Apache-2.0

package group

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The language of the tables. A group is "A B S+ a1@A x1@A nofailback": members (+ standby, 4 only
// IPv4 is probed, 0 nothing is, - does not exist, / no link, ! offline, ~ suspended), addresses a1 (IPv4) or x1
// (IPv6) with their home, and where a former run left one (a1@A=B).
type script struct {
	t     *testing.T
	names []string
	addrs []string
	g     *Group
	now   time.Duration
}

func newScript(t *testing.T, text string) (*script, []Action) {
	s := &script{t: t}
	cfg := Config{Name: "g", Failback: true}
	start := Start{}
	words := strings.Fields(text)
	for _, w := range words {
		switch {
		case w == "nofailback":
			cfg.Failback = false
		case strings.Contains(w, "@"):
			s.addrs = append(s.addrs, w)
		default:
			mc := MemberConfig{Name: w[:1], Standby: strings.Contains(w, "+"), Probed: [2]bool{true, true}}
			ms := MemberStart{Exists: true, Link: LinkUp}
			for _, mark := range w[1:] {
				switch mark {
				case '4':
					mc.Probed[IPv6] = false
				case '0':
					mc.Probed = [2]bool{}
				case '-':
					ms.Exists, ms.Link = false, LinkUnknown
				case '/':
					ms.Link = LinkDown
				case '?':
					ms.Link = LinkUnknown
				case '!':
					ms.Offline = true
				case '~':
					ms.Suspended = "twin"
				case 'f':
					ms.Health = [2]Health{Failed, Failed}
				case 'i':
					ms.Inactive = [2]bool{true, true}
				}
			}
			s.names = append(s.names, mc.Name)
			cfg.Members = append(cfg.Members, mc)
			start.Members = append(start.Members, ms)
		}
	}
	for i, w := range s.addrs {
		name, home, _ := strings.Cut(w, "@")
		home, owner, found := strings.Cut(home, "=")
		prefix := netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/24", 10+i))
		if name[0] == 'x' {
			prefix = netip.MustParsePrefix(fmt.Sprintf("2001:db8::%d/64", 10+i))
		}
		cfg.Addresses = append(cfg.Addresses, AddressConfig{prefix, s.member(home)})
		at := -1
		if found {
			at = s.member(owner)
		}
		start.Owners = append(start.Owners, at)
		s.addrs[i] = name
	}
	var actions []Action
	s.g, actions = New(cfg, s.now, start)
	return s, actions
}

func (s *script) member(name string) int {
	for i, n := range s.names {
		if n == name {
			return i
		}
	}
	return -1
}

// event reads "A failed link carrier", "A.4 failed probe tx-path", "A ok", "A link down", "A gone",
// "A back", "A offline", "A force", "A online", "A suspended twin", "A resumed", "A probing 4", "group failed link", "group repaired".
func (s *script) event(text string) Event {
	w := append(strings.Fields(text), "", "", "")
	if w[0] == "group" {
		if w[1] == "repaired" {
			return GroupRepaired{}
		}
		return GroupFailed{Cause: cause(w[2]), Detail: w[3]}
	}
	name, fam, _ := strings.Cut(w[0], ".")
	m := s.member(name)
	family := map[string]Family{"": Both, "4": IPv4, "6": IPv6}[fam]
	switch w[1] {
	case "ok":
		return HealthChanged{Member: m, Family: family, Health: OK}
	case "unknown":
		return HealthChanged{Member: m, Family: family, Health: Unknown}
	case "failed":
		return HealthChanged{m, family, Failed, cause(w[2]), w[3]}
	case "link":
		return LinkChanged{m, map[string]Link{"up": LinkUp, "down": LinkDown, "unknown": LinkUnknown}[w[2]], w[3]}
	case "gone", "back":
		return PresenceChanged{m, w[1] == "back"}
	case "offline", "force":
		return Offline{m, w[1] == "force"}
	case "online":
		return Online{m}
	case "suspended", "resumed":
		return Suspended{m, w[2]}
	case "probing":
		return ProbingChanged{m, [2]bool{strings.Contains(w[2], "4"), strings.Contains(w[2], "6")}}
	}
	require.Fail(s.t, "no such event", text)
	return nil
}

func cause(s string) Cause {
	for c := CauseNone; c <= CauseMAC; c++ {
		if c.String() == s {
			return c
		}
	}
	return CauseNone
}

func (s *script) name(i int) string {
	if i < 0 {
		return "-"
	}
	return s.names[i]
}

func (s *script) move(m Move) string {
	return fmt.Sprintf("%s:%s>%s", s.addrs[m.Address], s.name(m.From), s.name(m.To))
}

// action writes one action; "" for Publish, which a test of its own checks.
func (s *script) action(a Action) string {
	switch a := a.(type) {
	case Move:
		return s.move(a) + " " + a.Why.String()
	case MemberChanged:
		return line(s.name(a.Member), a.Family.String(), a.Old.String()+">"+a.New.String(), a.Cause.String(), a.Detail)
	case GroupChanged:
		return "group " + a.Old.String() + ">" + a.New.String()
	case Refused:
		return "refused " + s.name(a.Member) + ": " + a.Reason
	case Record:
		words := []string{"*", a.Kind.String(), s.name(a.Member), a.Family.String(), a.Cause.String(), a.Detail}
		for _, m := range a.Moved {
			words = append(words, s.move(m))
		}
		return line(words...)
	default:
		return ""
	}
}

func (s *script) text(actions []Action) string {
	var lines []string
	for _, a := range actions {
		if l := s.action(a); l != "" {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "; ")
}

// state writes "A ok* B failed S ok a1@A": * active in both families, 4 or 6 in one; an address
// that is down has a !.
func (s *script) state() string {
	v := s.g.View()
	var words []string
	for _, m := range v.Members {
		active := ""
		switch a, b := m.Families[IPv4].Active, m.Families[IPv6].Active; {
		case a && b:
			active = "*"
		case a:
			active = "4"
		case b:
			active = "6"
		}
		words = append(words, m.Name+" "+m.State.String()+active)
	}
	for i, a := range v.Addresses {
		word := s.addrs[i] + "@" + s.name(a.Owner)
		if !a.Up {
			word += "!"
		}
		words = append(words, word)
	}
	return line(append(words, v.State.String())...)
}

func line(words ...string) string {
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// row of a table: a rule, an event, what it brings about, and what the group is then. State is kept
// from row to row.
type row struct{ rule, event, want, state string }

// scenario is a rule and where it is written; a group, what New does with it, and the rows.
type scenario struct {
	rule, group, start, state string
	rows                      []row
}

func runScenarios(t *testing.T, scenarios []scenario) {
	for _, sc := range scenarios {
		t.Run(sc.rule, func(t *testing.T) {
			s, actions := newScript(t, sc.group)
			require.Equal(t, sc.start, s.text(actions))
			require.Equal(t, sc.state, s.state())
			for _, r := range sc.rows {
				s.now += time.Second
				actions := s.g.Step(s.now, s.event(r.event))
				require.Equal(t, r.want, s.text(actions), "%s: %s", r.rule, r.event)
				require.Equal(t, r.state, s.state(), "%s: %s", r.rule, r.event)
			}
		})
	}
}
