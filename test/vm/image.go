// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/ipmpd/ipmpd/test/vm/plan"
)

// built are the static binaries of a run, the same for every kernel.
type built struct {
	dir      string
	suites   []suite
	expected map[string][]string // names of tests by suite
}

func build(dir string, list []suite) (*built, error) {
	b := &built{dir: dir, suites: list, expected: map[string][]string{}}
	tool := func(args ...string) error {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	for name, pkg := range map[string]string{"init": "./test/vm/guest", "ipmpd": "./cmd/ipmpd"} {
		if err := tool("build", "-o", filepath.Join(dir, name), pkg); err != nil {
			return nil, err
		}
	}
	for _, s := range list {
		binary := filepath.Join(dir, binaryName(s.pkg))
		if err := tool("test", "-c", "-o", binary, "./"+s.pkg); err != nil {
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

// initramfs for a kernel and a suite.
func (b *built) initramfs(k *kernel, s suite) ([]byte, error) {
	a := &archive{}
	a.device("dev/console", 5, 1) // the kernel opens it for /init
	a.dir("root")
	p := plan.Plan{}
	lib, err := newLibrary(k)
	if err != nil {
		return nil, err
	}
	modules, err := closure(wanted, func(name string) bool { return lib.builtin[name] }, lib.read)
	if err != nil {
		return nil, err
	}
	for _, m := range modules {
		path := "modules/" + m.name + ".ko"
		a.file(path, 0o644, m.content)
		p.Modules = append(p.Modules, "/"+path)
	}
	add := func(name, from string) {
		content, rerr := os.ReadFile(from)
		if rerr != nil && err == nil {
			err = rerr
		}
		a.file(name, 0o755, content)
	}
	add("init", filepath.Join(b.dir, "init"))
	add("bin/ipmpd", filepath.Join(b.dir, "ipmpd"))
	add("tests/"+binaryName(s.pkg), filepath.Join(b.dir, binaryName(s.pkg)))
	prog := plan.Program{Name: s.pkg, Path: "/tests/" + binaryName(s.pkg), Dir: "/src/" + s.pkg, Seconds: s.seconds + 20,
		Args: []string{"-test.v", "-test.parallel=1", fmt.Sprintf("-test.timeout=%ds", s.seconds)},
		Env:  []string{"IPMPD_BINARY=/bin/ipmpd", "FLOW=1ms"}}
	if s.run != "" {
		prog.Args = append(prog.Args, "-test.run="+s.run)
	}
	if skip := s.skip(); skip != "" {
		prog.Args = append(prog.Args, "-test.skip="+skip)
	}
	p.Programs = append(p.Programs, prog)
	if err == nil {
		err = sources(a)
	}
	if err == nil {
		err = tools(a)
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	a.file(strings.TrimPrefix(plan.File, "/"), 0o644, text)
	return a.end(), nil
}

// sources that tests read beside what is compiled: headers, documents.
func sources(a *archive) error {
	out, err := exec.Command("git", "ls-files", "-z", "bpf/*.h", "bpf/*.c", "bpf/*.o", "bpf/*_test.go", "docs", "*/testdata/*").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for _, name := range strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }) {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		a.file("src/"+name, 0o644, content)
	}
	for _, s := range suites {
		a.dir("src/" + s.pkg)
	}
	return nil
}

var sharedLibrary = regexp.MustCompile(`(/\S+) \(0x`)

// tools of this machine that tests call, with the libraries that they are linked to.
func tools(a *archive) error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("%w; apt-get install busybox", err)
	}
	content, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	a.file("bin/busybox", 0o755, content)
	for _, name := range []string{"sh", "cat", "tail", "true", "sleep", "ls", "ping", "mount", "mkdir", "test"} {
		a.link("bin/"+name, "busybox")
	}
	packed := map[string]bool{}
	for _, name := range []string{"ip", "tc"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return fmt.Errorf("%w; apt-get install iproute2", err)
		}
		out, err := exec.Command("ldd", path).Output()
		if err != nil {
			return fmt.Errorf("ldd %s: %w", path, err)
		}
		files := map[string]string{"bin/" + name: path}
		for _, m := range sharedLibrary.FindAllStringSubmatch(string(out), -1) {
			files[strings.TrimPrefix(m[1], "/")] = m[1]
		}
		for to, from := range files {
			if packed[to] {
				continue
			}
			packed[to] = true
			if content, err = os.ReadFile(from); err != nil {
				return err
			}
			a.file(to, 0o755, content)
		}
	}
	return nil
}
