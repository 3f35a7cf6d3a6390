// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
)

// readNotify reads the programs that are run on events.
func (d *decoder) readNotify(n ast.Node, c *Config) error {
	const form = "the path of a program, as /etc/ipmpd/notify.d/page-me"
	list, err := d.list(n, "notify")
	if err != nil {
		return err
	}
	for _, n := range list {
		s, err := d.text(n, "notify", form)
		if err != nil {
			return err
		}
		at := place(n)
		switch same := func(p Program) bool { return p.Path == s }; {
		case len(c.Notify) == maxPrograms:
			return d.errorAt(at, "let one of them run the others", "there are more than %d programs", maxPrograms)
		case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
			return d.errorAt(at, "write "+form, "%q is no path", s)
		case !path.IsAbs(s):
			return d.errorAt(at, "write the path from / on", "program %q has no absolute path", s)
		case slices.ContainsFunc(c.Notify, same):
			return d.errorAt(at, "remove one of the two", "program %s is there already", s)
		}
		c.Notify = append(c.Notify, Program{Pos: at, Path: s})
	}
	return nil
}

// HostProgram is what CheckPrograms wants to know about a program.
type HostProgram struct {
	Err   error // it could not be looked at
	Mode  fs.FileMode
	Owner uint32 // user id
}

// CheckPrograms tells which programs of `notify` will not run, or are not the administrator's own;
// host is as cfg.Notify. Each is only a warning: they may come later, and detection needs none.
func CheckPrograms(cfg *Config, host []HostProgram) (warnings []Warning) {
	for i, p := range cfg.Notify {
		warn := func(advice, format string, args ...any) {
			warnings = append(warnings, Warning{File: cfg.File, Line: p.Pos.Line, Column: p.Pos.Column,
				Cause: "program " + p.Path + " " + fmt.Sprintf(format, args...), Advice: advice})
		}
		const writable, executable = 0o022, 0o111
		switch h := host[i]; {
		case h.Err != nil:
			warn("create it, or remove it here", "cannot be run: %v", h.Err)
		case !h.Mode.IsRegular():
			warn("name a file", "is no file")
		case h.Mode.Perm()&executable == 0:
			warn("chmod +x "+p.Path, "is not executable")
		case h.Owner != 0 || h.Mode.Perm()&writable != 0:
			warn("chown root "+p.Path+"; chmod go-w "+p.Path, "can be changed by others, and is run as root")
		}
	}
	return warnings
}
