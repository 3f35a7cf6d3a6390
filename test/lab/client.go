// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// The lab reads the daemon's JSON by the contract (section 4), not by the daemon's own types: a
// field that is renamed there fails here.

// Status is the part of `ipmpd status --json` that the lab judges by.
type Status struct {
	Groups []GroupStatus `json:"groups"`
}

// GroupStatus of one group.
type GroupStatus struct {
	Name       string            `json:"name"`
	State      string            `json:"state"`
	Achievable int64             `json:"achievable_detection_time_ns"`
	Interfaces []InterfaceStatus `json:"interfaces"`
	Addresses  []AddressStatus   `json:"addresses"`
}

// InterfaceStatus of one member.
type InterfaceStatus struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Active bool   `json:"active"`
	Link   string `json:"link"`
	Probe  string `json:"probe"`
	Attach string `json:"attach"`
	RTT    *int64 `json:"rtt_p50_ns"`
	Cause  string `json:"cause"`
}

// AddressStatus of one data address.
type AddressStatus struct {
	Address   string `json:"address"`
	State     string `json:"state"`
	Interface string `json:"interface"`
	Home      string `json:"home"`
}

// HistoryEntry of `ipmpd history --json`.
type HistoryEntry struct {
	ID        int64            `json:"id"`
	Time      time.Time        `json:"time"`
	Group     string           `json:"group"`
	Kind      string           `json:"kind"`
	Interface string           `json:"interface"`
	Family    string           `json:"family"`
	Cause     string           `json:"cause"`
	Detail    string           `json:"detail"`
	Complete  bool             `json:"complete"`
	Timeline  map[string]int64 `json:"timeline_ns"`
}

func (d *Daemon) get(path string, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.Socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ipmpd"+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	if raw, ok := into.(*string); ok {
		*raw = string(body)
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}

// Status asks the daemon.
func (d *Daemon) Status() (Status, error) {
	var s Status
	err := d.get("/v1/status", &s)
	return s, err
}

// History asks the daemon; newest last.
func (d *Daemon) History() ([]HistoryEntry, error) {
	var h []HistoryEntry
	err := d.get("/v1/history", &h)
	return h, err
}

// WaitReady waits until the daemon reports groups and each of their members is ok.
func (d *Daemon) WaitReady(limit time.Duration) error {
	return d.lab.Wait("all groups ok", limit, func() (bool, error) {
		if d.Ended() {
			return false, Fatal(fmt.Errorf("ipmpd has ended; see %s", d.Log))
		}
		s, err := d.Status()
		if err != nil {
			return false, err
		}
		for _, g := range s.Groups {
			if g.State != "ok" {
				return false, fmt.Errorf("group %s is %s", g.Name, g.State)
			}
			for _, i := range g.Interfaces {
				if i.State != "ok" {
					return false, fmt.Errorf("%s is %s", i.Name, i.State)
				}
			}
		}
		return len(s.Groups) > 0, nil
	})
}
