// SPDX-License-Identifier: Apache-2.0

package control

import (
	"cmp"
	"slices"
	"time"
)

// HistoryEntry is one failover, repair or operator's command (contract
// section 4). IDs start at 1 and never repeat.
type HistoryEntry struct {
	ID        uint64       `json:"id"`
	Time      time.Time    `json:"time"`
	Group     string       `json:"group"`
	Kind      string       `json:"kind"` // failover, failback, offline, online, repair, group-failure, group-repair
	Interface string       `json:"interface"`
	Family    string       `json:"family"` // ipv4, ipv6, both
	Cause     string       `json:"cause"`  // probe, link, admin, missing
	Detail    string       `json:"detail"`
	Moved     List[Moved]  `json:"moved"`
	Complete  bool         `json:"complete"` // false while a step is still retried
	Failed    List[Failed] `json:"failed"`
	Timeline  Timeline     `json:"timeline_ns"`
}

// Moved is an address and the members it went from and to; From is empty for
// one that was nowhere.
type Moved struct {
	Address string `json:"address"`
	From    string `json:"from"`
	To      string `json:"to"`
}

// Failed is a step that did not succeed at the last try.
type Failed struct {
	Address string `json:"address"`
	Step    string `json:"step"`
	Error   string `json:"error"`
}

// Timeline has the ns since the last good reply (for a link failure: since the
// event's arrival) at which each step was done. A step that did not happen is
// nil, and absent in JSON.
type Timeline struct {
	LastReply         *int64 `json:"last_reply,omitempty"`
	Verdict           *int64 `json:"verdict,omitempty"`
	EgressSwitched    *int64 `json:"egress_switched,omitempty"`
	FirstAnnouncement *int64 `json:"first_announcement,omitempty"`
	Announced         *int64 `json:"announced,omitempty"`
	Routes            *int64 `json:"routes,omitempty"`
	Addresses         *int64 `json:"addresses,omitempty"`
}

// Step is one step of a Timeline.
type Step struct {
	Name string // the JSON name
	NS   int64
}

// Steps lists the steps that happened, earliest first.
func (t Timeline) Steps() []Step {
	var steps []Step
	add := func(name string, ns *int64) {
		if ns != nil {
			steps = append(steps, Step{name, *ns})
		}
	}
	add("last_reply", t.LastReply)
	add("verdict", t.Verdict)
	add("egress_switched", t.EgressSwitched)
	add("first_announcement", t.FirstAnnouncement)
	add("announced", t.Announced)
	add("routes", t.Routes)
	add("addresses", t.Addresses)
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(a.NS, b.NS) })
	return steps
}

// Clone returns a copy that shares nothing with the entry.
func (h HistoryEntry) Clone() HistoryEntry {
	h.Moved, h.Failed = slices.Clone(h.Moved), slices.Clone(h.Failed)
	t := &h.Timeline
	for _, p := range []**int64{&t.LastReply, &t.Verdict, &t.EgressSwitched, &t.FirstAnnouncement,
		&t.Announced, &t.Routes, &t.Addresses} {
		if *p != nil {
			*p = new(**p)
		}
	}
	return h
}
