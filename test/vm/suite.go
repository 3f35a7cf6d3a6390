// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// smoke is what `make ci` has time for: of each package what a kernel could spoil, in one guest.
var smoke = []guest{{name: "smoke", suites: []suite{
	{pkg: "bpf", part: "smoke", seconds: 60, run: "^(TestLoadBothConfirmers|TestVerdict|TestNoMiss|TestConfirmedByRound|TestTimerFails|" +
		"TestReplyAccepted|TestReplyRefused|TestEgress|TestARPFlippedByVerdict|TestAttachModes|TestForeignPrograms|" +
		"TestProbesBypassTheSwitch|TestTagOnTheWire|TestReleaseWithoutARun)$"},
	{pkg: "pkg/addr", part: "smoke", seconds: 60, run: "^(TestModelIsTheKernel|TestReleaseIsTheKernel|TestDuplicates)$"},
	{pkg: "pkg/netstate", part: "smoke", seconds: 60, run: "^(TestWatcherFollows|TestWatcherResyncs|TestSysctls)$"},
	{pkg: "test/scenario", part: "smoke", seconds: 120,
		run: "^(TestSilentFailure|TestVLANMembers|TestBadWays)$/^(transmit_only|delay_of_one|loss)"},
}}}

// suite is a test binary and what of it makes sense under emulation.
type suite struct {
	pkg     string
	part    string            // of the package, where it takes two guests
	run     string            // -test.run; "": all
	without map[string]string // tests that say nothing here, and why
	seconds int               // of the guest's clock
}

var suites = []suite{
	{pkg: "bpf", seconds: 240, without: map[string]string{
		"TestStarvedThreadedNAPI": "starves a CPU; there is one",
		"TestGuardCPURan":         "takes two CPUs",
	}},
	{pkg: "pkg/addr", seconds: 240},
	{pkg: "pkg/netstate", seconds: 120},
	{pkg: "pkg/detect/probe", seconds: 120},
	// Of the daemon itself what a kernel could spoil; a guest has ten minutes.
	{pkg: "test/scenario", part: "failures", seconds: 400,
		run: "^(TestSilentFailure|TestCarrierLost|TestVLANMembers|TestVRF)$/^(both_ways|both_ways,_XDP|transmit_only|veth)$"},
	{pkg: "test/scenario", part: "ways", seconds: 400, run: "^TestBadWays$"},
	{pkg: "test/scenario", part: "life", seconds: 400,
		run: "^(TestEndAndStartAgain|TestOffline|TestReleaseAdopted|TestSecondDaemonIsRefused|TestRoutesOfSeveralHops)$/^away"},
}

// guest is a boot, and the suites that it runs, one after the other.
type guest struct {
	name   string
	suites []suite
}

// whole matrix: a guest for each suite.
func whole() (list []guest) {
	for _, s := range suites {
		list = append(list, guest{s.name(), []suite{s}})
	}
	return list
}

// asked narrows guests by ONLY, a list of packages or guests, and RUN, in place of what is run of them.
func asked(list []guest, only map[string]bool, run string) (out []guest) {
	for _, g := range list {
		var of []suite
		for _, s := range g.suites {
			if len(only) > 0 && !only[s.pkg] && !only[g.name] {
				continue
			}
			if run != "" {
				s.run = run
			}
			of = append(of, s)
		}
		if len(of) > 0 {
			out = append(out, guest{g.name, of})
		}
	}
	return out
}

// name of the suite, and of its guest where it has one of its own.
func (s suite) name() string {
	return strings.TrimSuffix(strings.ReplaceAll(s.pkg, "/", "-")+"-"+s.part, "-")
}

// expected are the tests of a suite among all names of its binary.
func (s suite) expected(all []string) (names []string, err error) {
	top, _, _ := strings.Cut(s.run, "/") // then of rows
	run, err := regexp.Compile(top)
	if err != nil {
		return nil, err
	}
	for _, name := range all {
		if _, left := s.without[name]; run.MatchString(name) && !left {
			names = append(names, name)
		}
	}
	return names, nil
}

// skip is for -test.skip.
func (s suite) skip() string {
	if len(s.without) == 0 {
		return ""
	}
	return "^(" + strings.Join(slices.Sorted(maps.Keys(s.without)), "|") + ")$"
}
