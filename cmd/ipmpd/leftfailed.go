// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/group"
)

// failedMember is an interface that failed and was not repaired, by its index, and in which families.
// The words say it too, and sooner, but they are gone where nothing is pinned or the layout is another.
type failedMember struct {
	Interface string             `json:"interface"`
	Index     int                `json:"index"`
	Families  [bpf.Families]bool `json:"families"`
}

// noteFailed remembers who carries nothing because it has failed, in all groups.
func (e *engine) noteFailed() {
	var list []failedMember
	for _, u := range e.units {
		if u.state == nil {
			continue
		}
		for _, m := range u.members {
			is := failedMember{Interface: m.cfg.Name, Index: m.ifindex}
			for f := range bpf.Families {
				usable := u.state.Usable(group.Family(f))
				is.Families[f] = usable != 0 && usable&(1<<m.index) == 0 && !m.out() && m.ifindex != 0
			}
			if is.Families != [bpf.Families]bool{} {
				list = append(list, is)
			}
		}
	}
	e.journal.SetFailed(list)
}

// SetFailed remembers who has failed.
func (j *journal) SetFailed(list []failedMember) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.state.Failed, list) {
		j.state.Failed = control.List[failedMember](list)
		j.touch()
	}
}

// Failed tells in which families an interface had failed in this boot, when it was last heard of.
func (j *journal) Failed(ifname string, ifindex int) [bpf.Families]bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, f := range j.state.Failed {
		if f.Interface == ifname && f.Index == ifindex {
			return f.Families
		}
	}
	return [bpf.Families]bool{}
}
