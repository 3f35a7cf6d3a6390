// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ipmpd/ipmpd/test/vm/plan"
)

// cargo is what a guest finds beside its kernel's modules. Packed twice it is the same to the byte.
type cargo struct {
	plan  plan.Plan
	files map[string]string // where in the guest: where here
	dirs  []string
	tools []string // programs of this machine, packed with the libraries that they are linked to
}

func newCargo(programs ...plan.Program) *cargo {
	return &cargo{plan: plan.Plan{Programs: programs}, files: map[string]string{}, tools: []string{"ip", "tc"}}
}

func (c *cargo) file(inGuest, here string) { c.files[inGuest] = here }

// initramfs for a kernel.
func (c *cargo) initramfs(k *kernel) ([]byte, error) {
	a := &archive{}
	a.device("dev/console", 5, 1) // the kernel opens it for /init
	a.dir("root")
	if err := c.modules(a, k); err != nil {
		return nil, err
	}
	if err := c.busybox(); err != nil {
		return nil, err
	}
	for _, name := range c.tools {
		if err := c.tool(name); err != nil {
			return nil, err
		}
	}
	for _, name := range applets {
		a.link("bin/"+name, "busybox")
	}
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		content, err := os.ReadFile(c.files[name])
		if err != nil {
			return nil, err
		}
		a.file(strings.TrimPrefix(name, "/"), 0o755, content)
	}
	for _, name := range c.dirs {
		a.dir(name)
	}
	text, err := json.Marshal(c.plan)
	if err != nil {
		return nil, err
	}
	a.file(strings.TrimPrefix(plan.Path, "/"), 0o644, text)
	return a.end(), nil
}

func (c *cargo) modules(a *archive, k *kernel) error {
	lib, err := newLibrary(k)
	if err != nil {
		return err
	}
	modules, err := closure(wanted, func(name string) bool { return lib.builtin[name] }, lib.read)
	if err != nil {
		return err
	}
	c.plan.Modules = nil
	for _, m := range modules {
		path := "modules/" + m.name + ".ko"
		a.file(path, 0o644, m.content)
		c.plan.Modules = append(c.plan.Modules, "/"+path)
	}
	return nil
}

// applets of busybox that tests call.
var applets = []string{"sh", "cat", "tail", "true", "sleep", "ls", "ping", "mount", "mkdir", "test"}

func (c *cargo) busybox() error {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("%w; apt-get install busybox-static", err)
	}
	c.file("/bin/busybox", path)
	return nil
}

var sharedLibrary = regexp.MustCompile(`(/\S+) \(0x`)

// tool of this machine, with the libraries that it is linked to.
func (c *cargo) tool(name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("%w; install the package that has it", err)
	}
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", path, err)
	}
	c.file("/bin/"+filepath.Base(name), path)
	for _, m := range sharedLibrary.FindAllStringSubmatch(string(out), -1) {
		c.file(m[1], m[1])
	}
	return nil
}
