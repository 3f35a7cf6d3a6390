// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"path"
)

// archive is an initramfs in the making, in the kernel's format "newc".
type archive struct {
	bytes.Buffer
	made   map[string]bool
	number int
}

func (a *archive) entry(name string, mode, major, minor int, content []byte) {
	a.number++
	fmt.Fprintf(a, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", a.number, mode, 0, 0, 1, 0,
		len(content), 0, 0, major, minor, len(name)+1, 0)
	a.WriteString(name)
	a.WriteByte(0)
	a.pad()
	a.Write(content)
	a.pad()
}

func (a *archive) pad() {
	for a.Len()%4 != 0 {
		a.WriteByte(0)
	}
}

// dir makes a folder and those above it.
func (a *archive) dir(name string) {
	if name == "." || name == "/" || a.made[name] {
		return
	}
	if a.made == nil {
		a.made = map[string]bool{}
	}
	a.dir(path.Dir(name))
	a.made[name] = true
	a.entry(name, 0o040755, 0, 0, nil)
}

// file at a path without the leading slash.
func (a *archive) file(name string, mode int, content []byte) {
	a.dir(path.Dir(name))
	a.entry(name, 0o100000|mode, 0, 0, content)
}

func (a *archive) link(name, to string) {
	a.dir(path.Dir(name))
	a.entry(name, 0o120777, 0, 0, []byte(to))
}

// device is for what must be there before /dev is mounted.
func (a *archive) device(name string, major, minor int) {
	a.dir(path.Dir(name))
	a.entry(name, 0o020600, major, minor, nil)
}

// end completes the archive.
func (a *archive) end() []byte {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.Bytes()
}
