// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// wanted modules. libcrc32c asks for its algorithm by an alias, which comes first. What a kernel has built in is left out; what it has not at all is an error.
var wanted = strings.Fields(`crc32c_generic veth bridge dummy tun macvlan vrf 8021q bonding team team_mode_activebackup
sch_ingress sch_netem sch_fq cls_bpf act_bpf act_mirred act_gact nf_tables inet_diag tcp_diag udp_diag raw_diag`)

// module is a file and its content, unpacked.
type module struct {
	name    string
	content []byte
	depends []string
}

// library finds modules of a kernel by name.
type library struct {
	files   map[string]string // by name with _ for -
	builtin map[string]bool
}

func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return strings.ReplaceAll(name, "-", "_")
}

func newLibrary(k *kernel) (*library, error) {
	l := &library{files: map[string]string{}, builtin: map[string]bool{}}
	text, err := os.ReadFile(filepath.Join(k.modules(), "modules.builtin"))
	if err != nil {
		return nil, err
	}
	for path := range strings.FieldsSeq(string(text)) {
		l.builtin[moduleName(path)] = true
	}
	err = filepath.WalkDir(k.modules(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), ".ko") {
			l.files[moduleName(path)] = path
		}
		return err
	})
	return l, err
}

func (l *library) read(name string) (*module, error) {
	path, found := l.files[name]
	if !found {
		return nil, fmt.Errorf("this kernel has no module %s", name)
	}
	content, err := os.ReadFile(path)
	if err == nil && strings.HasSuffix(path, ".xz") {
		content, err = exec.Command("xz", "-dc", path).Output()
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	m := &module{name: name, content: content}
	m.depends, err = dependsOf(content)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return m, nil
}

// dependsOf a module, as its section .modinfo says. modules.dep is made where a package is installed.
func dependsOf(content []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no section .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	return parseDepends(info), nil
}

func parseDepends(info []byte) (names []string) {
	for line := range bytes.SplitSeq(info, []byte{0}) {
		if list, found := bytes.CutPrefix(line, []byte("depends=")); found && len(list) > 0 {
			for name := range strings.SplitSeq(string(list), ",") {
				names = append(names, moduleName(name))
			}
		}
	}
	return names
}

// closure of names: each after what it depends on, none twice.
func closure(names []string, builtin func(string) bool, read func(string) (*module, error)) ([]*module, error) {
	var order []*module
	seen := map[string]bool{}
	var visit func(string) error
	visit = func(name string) error {
		if seen[name] || builtin(name) {
			return nil
		}
		seen[name] = true
		m, err := read(name)
		if err != nil {
			return err
		}
		for _, d := range m.depends {
			if err := visit(d); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		order = append(order, m)
		return nil
	}
	for _, name := range names {
		if err := visit(moduleName(name)); err != nil {
			return nil, err
		}
	}
	return order, nil
}
