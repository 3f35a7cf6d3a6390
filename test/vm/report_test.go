// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/vm/plan"
)

const good = `@@vm kernel 6.1.0-56-amd64
@@vm begin bpf
=== RUN   TestA
--- PASS: TestA (0.10s)
=== RUN   TestB
=== RUN   TestB/tcx
    x_test.go:1: needs Linux 6.6: tcx
=== RUN   TestB/xdp
--- PASS: TestB (0.10s)
    --- SKIP: TestB/tcx (0.00s)
    --- PASS: TestB/xdp (0.10s)
PASS

@@vm end bpf ok
@@vm done
`

func TestReport(t *testing.T) {
	expected := map[string][]string{"bpf": {"TestA", "TestB"}}
	judged := func(text string) []string {
		rep, err := parse(strings.NewReader(text))
		require.NoError(t, err)
		return rep.judge(expected)
	}
	require.Empty(t, judged(good))
	rep, err := parse(strings.NewReader(good))
	require.NoError(t, err)
	require.Equal(t, "6.1.0-56-amd64", rep.release)
	require.Equal(t, map[string]string{"TestB/tcx": "needs Linux 6.6: tcx"}, rep.programs[0].lacks)
	var b strings.Builder
	rep.print(&b, expected)
	require.Contains(t, b.String(), "2 of   2 tests passed,    3 PASS lines, 0 failed, 1 need another kernel\n    TestB/tcx: needs Linux 6.6: tcx\n")

	for name, row := range map[string]struct{ from, to, want string }{
		"not at its end":            {"@@vm done\n", "", "the guest did not come to its end"},
		"a failure":                 {"--- PASS: TestA", "--- FAIL: TestA", "bpf: TestA failed"},
		"a test that never came":    {"--- PASS: TestA (0.10s)\n", "", "bpf: TestA was not run"},
		"a skip without its reason": {"needs Linux 6.6", "no", "bpf: TestB/tcx was skipped and does not say which kernel it needs"},
		"an exit code":              {"end bpf ok", "end bpf exit status 2", `bpf: ended with "exit status 2"`},
		"a guest that gave up":      {"@@vm done", "@@vm failed load x\n@@vm done", "the guest could not go on: load x"},
		"the kernel's log":          {"@@vm done", "@@vm trouble WARNING: CPU: 0\n@@vm done", "kernel: WARNING: CPU: 0"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, good, row.from)
			require.Equal(t, []string{row.want}, judged(strings.Replace(good, row.from, row.to, 1)))
		})
	}
}

// TestFiles: what a program has printed whole is there although the guest did not come to its end.
func TestFiles(t *testing.T) {
	var b strings.Builder
	whole := strings.Repeat("0123456789", 1000)
	require.NoError(t, plan.Print(&b, "cells/a.json", []byte(whole)))
	require.NoError(t, plan.Print(&b, "cells/b.json", []byte(whole)))
	text := b.String()
	rep, err := parse(strings.NewReader(text[:len(text)-len(plan.EOF)-1]))
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"cells/a.json": []byte(whole)}, rep.files)
}

func TestClosure(t *testing.T) {
	depends := map[string][]string{"bridge": {"stp", "llc"}, "stp": {"llc"}, "8021q": {"garp", "mrp"}, "garp": {"stp"}}
	read := func(name string) (*module, error) { return &module{name: name, depends: depends[name]}, nil }
	list, err := closure([]string{"bridge", "8021q", "stp"}, func(name string) bool { return name == "mrp" }, read)
	require.NoError(t, err)
	var names []string
	for _, m := range list {
		names = append(names, m.name)
	}
	require.Equal(t, []string{"llc", "stp", "bridge", "garp", "8021q"}, names)
	require.Equal(t, []string{"stp", "nf_tables"}, parseDepends([]byte("license=GPL\x00depends=stp,nf-tables\x00name=x\x00")))
	require.Empty(t, parseDepends([]byte("depends=\x00")))
}

func TestExpected(t *testing.T) {
	all := []string{"TestA", "TestB", "TestAB"}
	s := suite{run: "^(TestA|TestB)$", without: map[string]string{"TestB": "why"}}
	names, err := s.expected(all)
	require.NoError(t, err)
	require.Equal(t, []string{"TestA"}, names)
	require.Equal(t, "^(TestB)$", s.skip())
	names, err = suite{}.expected(all)
	require.NoError(t, err)
	require.Equal(t, all, names)
}

func TestAsked(t *testing.T) {
	list := []guest{{"one", []suite{{pkg: "bpf", run: "^A$"}, {pkg: "pkg/addr"}}}, {"two", []suite{{pkg: "pkg/netstate"}}}}
	require.Equal(t, list, asked(list, nil, ""))
	require.Equal(t, []guest{{"one", []suite{{pkg: "pkg/addr"}}}}, asked(list, map[string]bool{"pkg/addr": true}, ""))
	require.Equal(t, list[1:], asked(list, map[string]bool{"two": true}, ""))
	require.Equal(t, []guest{{"one", []suite{{pkg: "bpf", run: "^B$"}}}}, asked(list, map[string]bool{"bpf": true}, "^B$"))
	require.Empty(t, asked(list, map[string]bool{"none": true}, ""))
}

// A guest's report is by package: a guest that runs one twice would take one for the other.
func TestGuestsRunAPackageOnce(t *testing.T) {
	for _, g := range append(whole(), smoke...) {
		seen := map[string]bool{}
		for _, s := range g.suites {
			require.False(t, seen[s.pkg], "%s in %s", s.pkg, g.name)
			seen[s.pkg] = true
		}
	}
}
