// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/test/lab"
)

// tracks is the daemon's map of that name: the rounds that it has begun, and when.
type tracks struct {
	table  *ebpf.Map
	groups int
}

func openTracks(d *lab.Daemon, groups int) (*tracks, error) {
	maps, err := mapsOf(d.PID())
	if err != nil {
		return nil, err
	}
	for id := range maps {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return nil, fmt.Errorf("open map %d: %w", id, err)
		}
		if info, err := m.Info(); err == nil && info.Name == "tracks" {
			return &tracks{m, groups}, nil
		}
		_ = m.Close()
	}
	return nil, errors.New("the daemon has no map of tracks")
}

func (t *tracks) close() { _ = t.table.Close() }

func (t *tracks) read(group int) (track bpf.Track, err error) {
	err = t.table.Lookup(uint32(bpf.TrackNumber(group, 0)), &track)
	return track, err
}

// rounds begun so far: all groups have the same ticks, and count once.
func (t *tracks) rounds() (uint64, error) {
	sum := uint64(0)
	for g := range t.groups {
		track, err := t.read(g)
		if err != nil {
			return 0, fmt.Errorf("read track: %w", err)
		}
		sum += uint64(track.Newest)
	}
	return sum / uint64(t.groups), nil
}

// late is how long after its tick the first group's last rounds began. Ticks are multiples of the
// interval.
func (t *tracks) late(interval time.Duration) (quantiles, error) {
	track, err := t.read(0)
	if err != nil {
		return quantiles{}, fmt.Errorf("read track: %w", err)
	}
	var late []time.Duration
	for i := range track.Round {
		if r := &track.Round[i]; r.BegunNs != 0 {
			late = append(late, time.Duration(r.BegunNs)%interval)
		}
	}
	slices.Sort(late)
	return quantiles{late[len(late)/2], late[len(late)*99/100]}, nil
}
