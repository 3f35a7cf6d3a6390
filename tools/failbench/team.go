// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
)

// team is the kernel's team driver with teamd, runner activebackup, and one way of watching its members.
type team struct {
	watch map[string]any
	keeps bool // its neighbours while it has no carrier
	host  *lab.Netns
	teamd *process
}

const teamDevice = "team0"

// teams take part with teamd's fastest settings.
func teams() []entrant {
	arp := func(missed int) map[string]any {
		return map[string]any{"name": "arp_ping", "interval": 1, "missed_max": missed, "init_wait": 0,
			"source_host": lab.Data.String(), "target_host": lab.Router.String()}
	}
	var list []entrant
	for _, w := range []struct {
		name     string
		watch    map[string]any
		interval time.Duration
		keeps    bool // see team.keeps
	}{
		{"team-ethtool", map[string]any{"name": "ethtool", "delay_up": 0, "delay_down": 0}, 0, false},
		{"team-arp-1", arp(3), time.Millisecond, false},
		{"team-arp-1-keep", arp(3), time.Millisecond, true},
		{"team-arp-1-missed-1-keep", arp(1), time.Millisecond, true},
	} {
		settings, err := json.Marshal(w.watch)
		if err != nil {
			panic(err) // strings and numbers
		}
		told := "runner activebackup, link_watch " + string(settings)
		if w.keeps {
			told += "; " + keeping(teamDevice)
		}
		list = append(list, entrant{
			Name: w.name, Family: "team", Settings: told, Interval: w.interval,
			Headline: true, Blind: w.interval == 0, Subject: teamSubject, New: func() contender { return &team{watch: w.watch, keeps: w.keeps} },
		})
	}
	return list
}

// teamSubject does not load the driver; teamd's kernel part would do so.
func teamSubject() (string, error) {
	if _, err := os.Stat("/sys/module/team"); err != nil {
		return "", fmt.Errorf("the kernel has no team driver, or it is not loaded; make bench-vm, or modprobe team")
	}
	out, err := exec.Command("teamd", "--version").CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%w; apt-get install libteam-utils, where make bench-vm packs it from", err)
	case err != nil:
		return "", fmt.Errorf("teamd --version: %w: %s; mend what it says", err, bytes.TrimSpace(out))
	}
	return strings.TrimSpace(string(out)), nil
}

// Setup starts teamd in the host, in the foreground.
func (d *team) Setup(t *topology) error {
	d.host = t.Host
	ports := map[string]any{}
	for _, m := range t.Members {
		ports[m.Name] = map[string]any{}
		link, err := t.Host.Link(m.Name)
		if err == nil {
			err = t.Host.Netlink.LinkSetDown(link) // else teamd cannot take it
		}
		if err != nil {
			return fmt.Errorf("set %s down: %w", m.Name, err)
		}
	}
	text, err := json.MarshalIndent(map[string]any{
		"device": teamDevice, "runner": map[string]any{"name": "activebackup"}, "link_watch": d.watch, "ports": ports,
	}, "", " ")
	if err != nil {
		return err
	}
	config, err := t.Config("teamd.json", string(text)+"\n")
	if err != nil {
		return err
	}
	if d.teamd, err = start(t.Host, filepath.Join(t.Dir, "teamd.log"), exec.Command("teamd", "-f", config)); err != nil {
		return err
	}
	if err := t.Wait(teamDevice+" to be there", bound, func() (bool, error) {
		_, err := t.Host.Link(teamDevice)
		return err == nil, err
	}); err != nil {
		return err
	}
	if err := typed(t, "team.ip", []string{"link set " + teamDevice + " up"}, teamDevice); err != nil || !d.keeps {
		return err
	}
	return keep(t, teamDevice)
}

// Ready when teamd says that all members are up and one is active.
func (d *team) Ready() (bool, error) {
	if err := d.teamd.ended(); err != nil {
		return false, lab.Fatal(err)
	}
	var out []byte
	err := d.host.Do(func() (err error) { // it looks for the device by itself
		out, err = exec.Command("teamdctl", teamDevice, "state", "dump").CombinedOutput()
		return err
	})
	if err != nil {
		return false, fmt.Errorf("teamdctl: %w: %s", err, bytes.TrimSpace(out))
	}
	return teamReady(out)
}

// teamReady reads `teamdctl state dump`.
func teamReady(dump []byte) (bool, error) {
	var state struct {
		Ports map[string]struct {
			Link struct {
				Up bool `json:"up"`
			} `json:"link"`
		} `json:"ports"`
		Runner struct {
			Active string `json:"active_port"`
		} `json:"runner"`
	}
	if err := json.Unmarshal(dump, &state); err != nil {
		return false, fmt.Errorf("teamdctl state dump: %w", err)
	}
	for name, p := range state.Ports {
		if !p.Link.Up {
			return false, fmt.Errorf("%s is down", name)
		}
	}
	if _, ok := state.Ports[state.Runner.Active]; !ok {
		return false, fmt.Errorf("the active port is %q", state.Runner.Active)
	}
	return true, nil
}

// Teardown ends teamd, which takes its device along.
func (d *team) Teardown() error {
	if d.teamd == nil {
		return nil
	}
	return d.teamd.stop()
}
