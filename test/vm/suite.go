// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

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
	{pkg: "test/scenario", part: "life", seconds: 400,
		run: "^(TestEndAndStartAgain|TestOffline|TestReleaseAdopted|TestSecondDaemonIsRefused|TestRoutesOfSeveralHops)$/^away"},
}

// asked narrows the suites by ONLY, a list of packages or guests, and RUN, in place of what is run of them.
func asked(list []suite, only map[string]bool, run string) (out []suite) {
	for _, s := range list {
		if len(only) > 0 && !only[s.pkg] && !only[s.name()] {
			continue
		}
		if run != "" {
			s.run = run
		}
		out = append(out, s)
	}
	return out
}

// name of its guest.
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
