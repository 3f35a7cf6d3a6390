// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// contender is what is measured. It is set up on a topology that has nothing but links, router and
// peer, and has to bring lab.Data to the host. One value serves one arena.
type contender interface {
	// Setup configures and starts it. It does not wait.
	Setup(t *topology) error
	// Ready is asked, after Setup and after each repair, until all is as before a failure. An error is
	// what it waits for, or lab.Fatal.
	Ready() (bool, error)
	// Teardown ends what Setup started; namespaces and what is in them go after it.
	Teardown() error
}

// teller is a contender that says what it did and when. That goes into the anatomy only.
type teller interface {
	// Tell the events of the failure at that time, CLOCK_MONOTONIC ns.
	Tell(at int64) ([]result.Event, error)
}

// limiter is a contender whose rule has a shortest detection time, ns; 0: it is not known now.
type limiter interface {
	Limit() (int64, error)
}

// shape of the lab that a contender works in.
type shape int

const (
	oneHost  shape = iota // a host with two members or more
	twoHosts              // two hosts with a member each
)

// entrant is a contender that may take part.
type entrant struct {
	Name     string        // in the cells' names
	Family   string        // those of one family have one colour
	Settings string        // for the report
	Interval time.Duration // of its rounds or hellos
	Shape    shape
	// Detects: it moves no traffic; what is measured is when its state goes down.
	Detects bool
	// Headline cells have more samples.
	Headline bool
	// Blind: it looks at the carrier only, so that a silent cut is not found.
	Blind bool
	// Credulous: any frame that a member receives speaks for it, so that a cut of what it sends is not found.
	Credulous bool
	// Watched: it is watched for long, that it moves nothing without a cause.
	Watched bool
	// Alone: it takes part on a machine with one processor only.
	Alone bool
	// Full: it takes part in all scenarios, not in the first three only.
	Full bool
	// Daemonless: there is nothing of it that could be killed.
	Daemonless bool
	// Subject is what is measured, or why it cannot be here.
	Subject func() (string, error)
	New     func() contender
}

// packets is the time between two of each flow: a gap cannot be told more finely. 10,000 a second, but no less than one
// for each of the contender's rounds.
func (e entrant) packets() time.Duration {
	const usual = 100 * time.Microsecond
	if 0 < e.Interval && e.Interval < usual {
		return e.Interval
	}
	return usual
}

// entrants are all that take part, in the order of the report.
func entrants(binary string) []entrant {
	var list []entrant
	list = append(list, ipmpds(binary)...)
	list = append(list, keepaliveds()...)
	list = append(list, bfds()...)
	list = append(list, bondings()...)
	list = append(list, teams()...)
	return list
}

// topology is what a contender is set up on.
type topology struct {
	*lab.Lab
	// configs is where generated configurations lie beside the results.
	configs string
	// more is how many data addresses the scenario wants beside lab.Data.
	more int
}

// more addresses are of 10.99.0.0/16.
var moreAddresses = netip.MustParsePrefix("10.99.0.0/16")

// dataAddresses that the contender brings to the host: lab.Data, on which the flows are, and more.
func (t *topology) dataAddresses() []netip.Prefix {
	list := []netip.Prefix{netip.PrefixFrom(lab.Data, 24)}
	for i := range t.more {
		list = append(list, lab.Nth(moreAddresses, i+1))
	}
	return list
}

// Config writes a generated configuration, which stays beside the results.
func (t *topology) Config(name, text string) (path string, err error) {
	if err := os.MkdirAll(t.configs, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(t.configs, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}
