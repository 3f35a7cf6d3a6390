// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"

	"github.com/ipmpd/ipmpd/pkg/addr"
)

// Adopted routes of a group, as a former run left them; false: nothing is known of the group.
func (j *journal) Adopted(group string) ([]addr.Route, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []addr.Route
	for _, r := range j.state.Adopted {
		if r.Group == group && r.To.IsValid() {
			out = append(out, addr.Route{To: r.To, Via: r.Via, Hops: r.Hops, Src: r.Src, Metric: r.Metric, Table: r.Table,
				Metrics: string(r.Metrics), Adopted: true})
		}
	}
	return out, slices.Contains(j.state.Known, group)
}

// SetAdopted remembers the adopted routes of a group.
func (j *journal) SetAdopted(group string, routes []addr.Route) {
	j.mu.Lock()
	defer j.mu.Unlock()
	others := slices.DeleteFunc(slices.Clone(j.state.Adopted), func(r adoptedRoute) bool { return r.Group == group })
	for _, r := range routes {
		others = append(others, adoptedRoute{Group: group, To: r.To, Via: r.Via, Hops: r.Hops, Src: r.Src, Metric: r.Metric,
			Table: r.Table, Metrics: []byte(r.Metrics)})
	}
	j.state.Adopted = others
	if !slices.Contains(j.state.Known, group) {
		j.state.Known = append(slices.Clone(j.state.Known), group)
	}
	j.touch()
}

// AddReplaced remembers routes that are about to be replaced, on disk before it returns: a crash
// after the replacement would lose them. Of two that went to the same place over the same interface
// the newer counts.
func (j *journal) AddReplaced(list []replacedRoute) {
	if len(list) == 0 {
		return
	}
	j.mu.Lock()
	news := make(map[replacedPlace]bool, len(list))
	for _, r := range list {
		news[r.place()] = true
	}
	replaced := slices.DeleteFunc(slices.Clone(j.state.Replaced), func(r replacedRoute) bool { return news[r.place()] })
	j.state.Replaced = append(replaced, list...)
	j.mu.Unlock()
	if err := j.write(false); err != nil {
		j.log.Warn("the state file was not written; release could not put routes back", "error", err)
	}
}

type replacedPlace struct {
	ifname        string
	index         int
	to            netip.Prefix
	metric, table uint32
}

func (r replacedRoute) place() replacedPlace {
	return replacedPlace{r.Interface, r.Index, r.To, r.Metric, r.Table}
}

// Replaced are the routes of others that ours took the place of.
func (j *journal) Replaced() (out []addr.HostRoute) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.state.Replaced {
		if r.To.IsValid() {
			out = append(out, addr.HostRoute{Link: r.Index, To: r.To, Via: r.Via, Hops: r.Hops, Src: r.Src, Metric: r.Metric, Table: r.Table,
				Protocol: r.Protocol, Scope: r.Scope, Flags: r.Flags, Metrics: string(r.Metrics)})
		}
	}
	return out
}

// forgetRoutes of what is released; the caller writes the file.
func (j *journal) forgetRoutes(r addr.Released) {
	gone := func(group string) bool {
		return r.All || slices.ContainsFunc(r.Groups, func(g addr.UndoGroup) bool { return g.Name == group })
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state.Known = slices.DeleteFunc(slices.Clone(j.state.Known), gone)
	j.state.Adopted = slices.DeleteFunc(slices.Clone(j.state.Adopted), func(a adoptedRoute) bool { return gone(a.Group) })
	j.state.Replaced = slices.DeleteFunc(slices.Clone(j.state.Replaced), func(p replacedRoute) bool { return r.Undone(p.Index) })
}
