// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/ipmpd/ipmpd/bpf"
)

var trialTracks []bpf.Track

func trialSet(t []bpf.Track) []bpf.Track { trialTracks = t; return t }

// trialNote writes when the survivor's first reply after a verdict came.
func trialNote(n *verdictNews) {
	path := os.Getenv("IPMPD_TRIAL_LOG")
	if path == "" || n.fired == nil {
		return
	}
	ev, woke, first := n.event, n.woke, n.fired.result.FirstAnnouncement
	go func() {
		time.Sleep(4 * time.Millisecond)
		t := &trialTracks[bpf.TrackNumber(int(ev.Group), int(ev.Family))]
		var next int64
		for i := range t.Round {
			if at := int64(t.Round[i].AnsweredNs); at > int64(ev.VerdictNs) && (next == 0 || at < next) {
				next = at
			}
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		v := int64(ev.VerdictNs)
		fmt.Fprintln(f, int64(ev.SuspectedNs)-v, woke-v, first-v, next-v)
	}()
}
