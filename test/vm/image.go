// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ipmpd/ipmpd/test/vm/plan"
)

// built are the static binaries of a run, the same for every kernel.
type built struct {
	dir      string
	guests   []guest
	basics   map[string]string   // of each guest
	expected map[string][]string // names of tests by suite
}

func build(dir string, list []guest) (*built, error) {
	b := &built{dir: dir, guests: list, expected: map[string][]string{}}
	c := newCargo()
	if err := c.basics(dir); err != nil {
		return nil, err
	}
	b.basics = c.files
	var all []suite
	for _, g := range list {
		all = append(all, g.suites...)
	}
	for _, s := range all {
		binary := filepath.Join(dir, binaryName(s.pkg))
		if err := static("test", binary, "-c", "./"+s.pkg); err != nil {
			return nil, err
		}
		cmd := exec.Command(binary, "-test.list", "^Test")
		cmd.Dir = s.pkg
		cmd.Env = append(os.Environ(), "IPMPD_BINARY="+filepath.Join(dir, "ipmpd"))
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("list tests of %s: %w", s.pkg, err)
		}
		if b.expected[s.name()], err = s.expected(strings.Fields(string(out))); err != nil {
			return nil, err
		}
		if len(b.expected[s.name()]) == 0 {
			return nil, fmt.Errorf("no test of %s matches %q", s.pkg, s.run)
		}
	}
	return b, nil
}

func binaryName(pkg string) string { return strings.ReplaceAll(pkg, "/", "-") + ".test" }

// static makes a binary by `go build` or `go test -c`. What it is made of, and where, is not in it: a guest that measures
// is the same wherever it was packed.
func static(verb, binary string, args ...string) error {
	cmd := exec.Command("go", append([]string{verb, "-trimpath", "-buildvcs=false", "-o", binary}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s %s: %w: %s", verb, strings.Join(args, " "), err, out)
	}
	return nil
}

// cargo for a guest that runs suites.
func (b *built) cargo(g guest) (*cargo, error) {
	c := newCargo()
	maps.Copy(c.files, b.basics)
	for _, s := range g.suites {
		path := "/tests/" + binaryName(s.pkg)
		prog := plan.Program{Name: s.pkg, Path: path, Dir: "/src/" + s.pkg, Seconds: s.seconds + 20,
			Args: []string{"-test.v", "-test.parallel=1", fmt.Sprintf("-test.timeout=%ds", s.seconds)},
			Env:  []string{"IPMPD_BINARY=/bin/ipmpd", "FLOW=1ms"}}
		if s.run != "" {
			prog.Args = append(prog.Args, "-test.run="+s.run)
		}
		if skip := s.skip(); skip != "" {
			prog.Args = append(prog.Args, "-test.skip="+skip)
		}
		c.plan.Programs = append(c.plan.Programs, prog)
		c.file(path, filepath.Join(b.dir, binaryName(s.pkg)))
		c.dirs = append(c.dirs, "src/"+s.pkg)
	}
	return c, sources(c)
}

// sources that tests read beside what is compiled: headers, documents.
func sources(c *cargo) error {
	out, err := exec.Command("git", "ls-files", "-z", "bpf/*.h", "bpf/*.c", "bpf/*.o", "bpf/*_test.go", "docs", "*/testdata/*").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for _, name := range strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }) {
		c.file("/src/"+name, name)
	}
	return nil
}
