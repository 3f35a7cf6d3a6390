// SPDX-License-Identifier: Apache-2.0

package house

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/ipmpd/ipmpd/"

// row is what the packages of a folder may import of ours and of others; the standard library is
// free. A name stands for itself, NAME/... also for everything below.
type row struct {
	folder string
	ours   []string
	others []string
	why    string
}

// graph has the most particular folder first.
var graph = []row{
	{"bpf", nil, []string{"github.com/cilium/ebpf/...", "github.com/vishvananda/netlink/...", "golang.org/x/sys/..."},
		"programs, their loader and how they are attached (clsact by netlink): no policy, so nothing of those who decide"},
	{"pkg/group", nil, nil,
		"what IPMP means, pure: it is tested by millions of events and read like the specification"},
	{"pkg/check", nil, nil,
		"what a host means for a configuration, pure: facts in, findings out; cmd/ipmpd reads the host"},
	{"pkg/config", nil, []string{"github.com/goccy/go-yaml/..."},
		"its structs stop there; cmd/ipmpd translates them"},
	{"pkg/solaris", []string{"pkg/control"}, nil,
		"draws the wire types, as any other reader of the socket may; pure"},
	{"pkg/control", nil, []string{"golang.org/x/sys/...", "golang.org/x/sync/..."},
		"wire types, server, client: anyone may link the client"},
	{"pkg/notify", nil, []string{"golang.org/x/sys/..."},
		"runs programs; what an event means is nothing to it, so it may be a process of its own"},
	{"pkg/realtime", nil, []string{"golang.org/x/sys/..."},
		"how a real-time thread waits; what for is its caller's business"},
	{"pkg/netstate", []string{"pkg/realtime"}, []string{"github.com/vishvananda/netlink/...", "golang.org/x/sys/...", "golang.org/x/sync/..."},
		"the only reader of rtnetlink; what is read means nothing to it"},
	{"pkg/addr", nil, []string{"github.com/vishvananda/netlink/...", "github.com/mdlayher/ndp", "golang.org/x/sys/...",
		"golang.org/x/net/...", "golang.org/x/sync/..."},
		"the only kernel writer; it is told who is up and never asks BPF"},
	{"pkg/detect/probe", []string{"bpf", "pkg/detect", "pkg/realtime"}, []string{"github.com/cilium/ebpf/...", "github.com/mdlayher/ndp",
		"golang.org/x/sys/...", "golang.org/x/net/...", "golang.org/x/sync/..."},
		"the prober publishes its rounds in BPF maps and judges by pkg/detect"},
	{"pkg/detect", []string{"bpf"}, []string{"github.com/cilium/ebpf/...", "golang.org/x/sys/..."},
		"reads the kernel's verdicts; knows no addresses to move"},
	{"cmd", []string{"bpf", "pkg/..."}, []string{"github.com/spf13/cobra", "github.com/spf13/pflag",
		"github.com/coreos/go-systemd/...", "github.com/vishvananda/netlink/...", "github.com/cilium/ebpf/...", "golang.org/x/..."},
		"wires everything, but nothing that only tests need"},
	{"test/vm", []string{"test/...", "tools/failbench/result"}, []string{"..."}, "runs the benchmark in a guest, and reads what that left"},
	{"test", []string{"bpf", "cmd/...", "pkg/...", "test/..."}, []string{"..."}, "tests may see everything"},
	{"tools", []string{"bpf", "cmd/...", "pkg/...", "test/...", "tools/..."}, []string{"..."}, "as tests"},
}

// inTests is what the test files of every package may import beside its row.
var inTests = row{
	ours: []string{"test/lab/...", "test/fakehost"},
	others: []string{"github.com/stretchr/testify/...", "github.com/google/go-cmp/...", "pgregory.net/rapid", "github.com/rogpeppe/go-internal/testscript",
		"go.uber.org/goleak", "github.com/vishvananda/netlink/...", "github.com/vishvananda/netns", "github.com/cilium/ebpf/...",
		"golang.org/x/..."},
}

// listed is the part of `go list -json` that counts here.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
	Deps                               []string
}

func golist(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps"}, args...)...)
	cmd.Dir = root(t)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "go list: %s", stderr.String())
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else {
			require.NoError(t, err)
		}
		packages = append(packages, p)
	}
}

func TestImportGraph(t *testing.T) {
	packages := golist(t, "./...")
	require.NotEmpty(t, packages)
	for _, p := range packages {
		r, ok := rowOf(strings.TrimPrefix(p.ImportPath, module))
		if !ok {
			t.Errorf("%s is in no row of the import graph; say who may import what in imports_test.go", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if !r.allows(p.ImportPath, imp) {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, r.why)
			}
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if !r.allows(p.ImportPath, imp) && !inTests.allows(p.ImportPath, imp) {
				t.Errorf("a test of %s imports %s: %s", p.ImportPath, imp, r.why)
			}
		}
	}
}

// What must not come in by any way, however far.
func TestFarImports(t *testing.T) {
	rows := []struct {
		of, never string
		why       string
	}{
		{"pkg/addr", "github.com/cilium/ebpf", "the kernel writer never asks BPF who is up"},
		{"pkg/netstate", "github.com/cilium/ebpf", "the reader of rtnetlink never asks BPF who is up"},
		{"pkg/config", "github.com/vishvananda/netlink", "the file alone is judged; the host is brought by the caller"},
		{"pkg/control", "github.com/vishvananda/netlink", "the client runs without rights"},
		{"pkg/group", "net", "no I/O (net/netip is none)"},
		{"pkg/group", "os", "no I/O"},
		{"pkg/check", "net", "no I/O (net/netip is none)"},
		{"cmd/ipmpd", "testing", "the daemon has no code that only tests need"},
		{"cmd/ipmpd", "github.com/stretchr/testify/require", "the daemon has no code that only tests need"},
	}
	deps := make(map[string][]string)
	for _, p := range golist(t, "./...") {
		deps[strings.TrimPrefix(p.ImportPath, module)] = p.Deps
	}
	for _, r := range rows {
		require.Contains(t, deps, r.of)
		require.NotContains(t, deps[r.of], r.never, "%s depends on %s: %s", r.of, r.never, r.why)
	}
}

func rowOf(folder string) (row, bool) {
	for _, r := range graph {
		if covers(r.folder+"/...", folder) {
			return r, true
		}
	}
	return row{}, false
}

func (r row) allows(from, imp string) bool {
	if ours, ok := strings.CutPrefix(imp, module); ok {
		// An external test package imports the package that it tests.
		return imp == from || slices.ContainsFunc(r.ours, func(p string) bool { return covers(p, ours) })
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return true // the standard library, and "C"
	}
	return slices.ContainsFunc(r.others, func(p string) bool { return covers(p, imp) })
}

// covers is whether the pattern, NAME or NAME/... or ..., takes in the path.
func covers(pattern, path string) bool {
	stem, wide := strings.CutSuffix(pattern, "...")
	stem = strings.TrimSuffix(stem, "/")
	return stem == path || wide && (stem == "" || strings.HasPrefix(path, stem+"/"))
}

func TestCovers(t *testing.T) {
	for _, r := range []struct {
		pattern, path string
		want          bool
	}{
		{"bpf", "bpf", true}, {"bpf", "bpf/x", false}, {"pkg/...", "pkg/addr", true}, {"pkg/...", "pkgs", false},
		{"pkg/detect/...", "pkg/detect", true}, {"...", "any.thing/x", true},
	} {
		require.Equal(t, r.want, covers(r.pattern, r.path), "%s covers %s", r.pattern, r.path)
	}
	require.False(t, graph[1].allows(module+"pkg/group", module+"pkg/config"))
	require.False(t, graph[1].allows(module+"pkg/group", "golang.org/x/sys/unix"))
	require.True(t, graph[1].allows(module+"pkg/group", "net/netip"))
}
