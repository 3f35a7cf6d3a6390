// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// checkLastAddress refuses a configuration that takes the last address from the host's default route,
// with the place of what does. Where `force: true` stands beside that, it is a warning.
func checkLastAddress(cfg *config.Config, j *journal) ([]config.Warning, error) {
	s, err := lookNow()
	if err != nil {
		return nil, err
	}
	warnings, wrong := judgeLastAddress(cfg, s, netstate.Sysctls, j)
	if wrong != nil {
		return nil, wrong
	}
	return warnings, nil
}

func judgeLastAddress(cfg *config.Config, s *netstate.Snapshot, sysctls func(keys []string) map[string]string, j *journal) (
	warnings []config.Warning, wrong *config.Error) {
	if !carriesDefault(cfg, s, j) {
		return nil, nil
	}
	f := foresee(cfg.Groups, s, sysctls, j)
	for _, lost := range addr.LastAddress(f.before, f.after, f.tested, f.tests) {
		e, g := blame(cfg, s, j, lost)
		if g != nil && g.Force {
			e.Advice = "`force: true` of group " + g.Name + " accepts it"
			warnings = append(warnings, config.Warning(e))
		} else if wrong == nil {
			wrong = &e
		}
	}
	return warnings, wrong
}

// carriesDefault says whether a default route goes by an interface that is, or was, a member: no other
// can lose anything, and looking ahead takes time.
func carriesDefault(cfg *config.Config, s *netstate.Snapshot, j *journal) bool {
	members := map[string]bool{}
	for i := range cfg.Groups {
		for _, m := range cfg.Groups[i].Interfaces {
			members[m.Name] = true
		}
	}
	u := j.Undo()
	for _, g := range u.Groups {
		for _, m := range g.Members {
			members[m.Name] = true
		}
	}
	byIndex := map[int]bool{}
	for i := range s.Links {
		byIndex[s.Links[i].Index] = members[s.Links[i].Name]
	}
	return slices.ContainsFunc(s.Routes, func(r netstate.Route) bool {
		return r.Table == unix.RT_TABLE_MAIN && r.Dst.Bits() == 0 &&
			(r.Protocol == addr.Protocol || slices.ContainsFunc(r.Hops, func(h netstate.Hop) bool { return byIndex[h.Link] }))
	})
}

// blame says what takes the last address, where it stands, and in which group; nil: in none, as the
// group is gone from the file.
func blame(cfg *config.Config, s *netstate.Snapshot, j *journal, lost addr.Loss) (config.Error, *config.Group) {
	via := "the default route"
	if lost.Via.IsValid() {
		via += " via " + lost.Via.String()
	}
	names := linkNames(s, lost.Links)
	at := func(pos config.Pos, g *config.Group, cause, advice string) (config.Error, *config.Group) {
		switch {
		case g != nil && cfg.Solaris():
			advice += ", or `ipmpd import` the files and write `force: true` in group " + g.Name
		case g != nil:
			advice += ", or write `force: true` in group " + g.Name
		}
		return cfg.ErrorAt(pos, cause, advice), g
	}
	for i := range cfg.Groups {
		g := &cfg.Groups[i]
		for _, m := range g.Interfaces {
			if p, named := pick(m.Test, lost.Sources); named {
				return at(m.Pos, g, fmt.Sprintf("%s is the last address for %s through %s, and a test address is no source", p, via, names),
					"name a data address of that subnet under `addresses:`")
			}
		}
		for _, a := range g.Addresses {
			if p, named := pick([]netip.Prefix{a.Prefix}, lost.Sources); named {
				return at(a.Pos, g, fmt.Sprintf("%s is the last address for %s through %s, which cannot follow the group (protocol %d), and leaves it",
					p, via, names, lost.Route.Protocol), "give it that interface as its home")
			}
		}
	}
	cause := fmt.Sprintf("the file no longer names %s, the last address for %s through %s", join(lost.Sources), via, names)
	for i := range cfg.Groups {
		g := &cfg.Groups[i]
		for _, m := range g.Interfaces {
			if l := s.LinkByName(m.Name); l != nil && slices.Contains(lost.Links, l.Index) {
				return at(g.Pos, g, cause, "name one under `addresses:`")
			}
		}
	}
	return at(config.Pos{Line: 1, Column: 1}, nil, cause, "leave its group in the file"+releaseFirst(j, lost.Sources))
}

// releaseFirst is the way for who means it: there is no group left to write `force: true` into.
func releaseFirst(j *journal, sources []netip.Addr) string {
	u := j.Undo()
	for _, g := range u.Groups {
		if _, named := pick(g.Addresses, sources); named && !g.Released {
			return fmt.Sprintf(", or let go of it first: `ipmpd release %s`", g.Name)
		}
	}
	return ""
}

// pick the first of the prefixes that has one of the addresses.
func pick(list []netip.Prefix, of []netip.Addr) (netip.Addr, bool) {
	for _, p := range list {
		if slices.Contains(of, p.Addr()) {
			return p.Addr(), true
		}
	}
	return netip.Addr{}, false
}

func linkNames(s *netstate.Snapshot, links []int) string {
	var names []string
	for _, index := range links {
		if l := s.Link(index); l != nil {
			names = append(names, l.Name)
		}
	}
	return strings.Join(names, " and ")
}

func join(list []netip.Addr) string {
	var words []string
	for _, a := range list {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}

// peekJournal reads the state file and leaves it as it is, whatever it is: a start sets a damaged one
// aside, and says so.
func peekJournal(path string) *journal {
	j := &journal{path: path, log: slog.New(slog.DiscardHandler), state: emptyState()}
	if data, err := readBounded(path); err == nil {
		if s, err := parseState(data); err == nil {
			j.state = s
		}
	}
	j.state.here()
	return j
}
