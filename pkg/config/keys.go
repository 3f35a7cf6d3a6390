// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// key is one key of a mapping that becomes a T. Without a set its feature is not built yet.
type key[T any] struct {
	name string
	set  func(d *decoder, n ast.Node, to *T) error
}

// decode reads the mapping n into to.
func decode[T any](d *decoder, n ast.Node, what string, keys []key[T], to *T) error {
	entries, err := d.mapping(n, what)
	if err != nil {
		return err
	}
	for _, e := range entries {
		i := slices.IndexFunc(keys, func(k key[T]) bool { return k.name == e.key })
		switch {
		case i < 0:
			return d.errorAt(e.at, suggest(e.key, keys), "%s has no key %q", what, e.key)
		case keys[i].set == nil:
			return d.errorAt(e.at, "remove it", "%s is not built yet", e.key)
		}
		if err := keys[i].set(d, e.value, to); err != nil {
			return err
		}
	}
	return nil
}

// suggest names the key that was probably meant, else all.
func suggest[T any](wrong string, keys []key[T]) string {
	fold := func(s string) string {
		return strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(s))
	}
	var names []string
	for _, k := range keys {
		a, b := fold(k.name), fold(wrong)
		if a == b || strings.TrimSuffix(a, "s") == strings.TrimSuffix(b, "s") || oneEdit(a, b) {
			return "did you mean `" + k.name + "`?"
		}
		if k.set != nil {
			names = append(names, k.name)
		}
	}
	return "its keys are " + strings.Join(names, ", ")
}

// oneEdit is whether one character more, less or other makes a of b, or two neighbours swapped.
func oneEdit(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(b) && a[i] == b[i] {
		i++
	}
	switch {
	case len(a) == len(b) && i+1 < len(b) && a[i] == b[i+1] && a[i+1] == b[i]:
		return a[i+2:] == b[i+2:]
	case len(a) == len(b):
		return i < len(a) && a[i+1:] == b[i+1:]
	}
	return len(a) == len(b)+1 && a[i+1:] == b[i:]
}

var topKeys = []key[Config]{
	{"log-level", func(d *decoder, n ast.Node, c *Config) error {
		name, err := choice(d, n, "log-level", "debug", "info", "warn", "error")
		if err != nil {
			return err
		}
		c.LogLevel = map[string]slog.Level{
			"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
		}[name]
		return nil
	}},
	{"http", nil},
	{"realtime", func(d *decoder, n ast.Node, c *Config) error {
		return decode(d, n, "realtime", realtimeKeys, &c.Realtime)
	}},
	{"groups", func(d *decoder, n ast.Node, c *Config) (err error) {
		c.Groups, err = d.groups(n)
		return err
	}},
	{"monitor", (*decoder).readMonitor},
	{"notify", (*decoder).readNotify},
}

var realtimeKeys = []key[Realtime]{
	{"priority", func(d *decoder, n ast.Node, r *Realtime) (err error) {
		r.Priority, err = d.integer(n, "priority", 0, maxPriority)
		return err
	}},
	{"cpus", func(d *decoder, n ast.Node, r *Realtime) error {
		list, err := d.list(n, "cpus")
		if err != nil {
			return err
		}
		for _, n := range list {
			cpu, err := d.integer(n, "cpus", 0, maxCPU)
			if err != nil {
				return err
			}
			if slices.Contains(r.CPUs, cpu) {
				return d.errorAt(place(n), "remove one of the two", "CPU %d is there already", cpu)
			}
			r.CPUs = append(r.CPUs, cpu)
		}
		return nil
	}},
}

// Keys lists every key that the file may have, with a dot between levels; NAME and IF stand for
// the operator's names.
func Keys() []string {
	built, _ := allKeys()
	return built
}

// NotBuilt lists the keys of the contract whose feature a later release brings; they are refused.
func NotBuilt() []string {
	_, later := allKeys()
	return later
}

func allKeys() (built, later []string) {
	add(&built, &later, "", topKeys)
	add(&built, &later, "realtime.", realtimeKeys)
	add(&built, &later, "groups.NAME.", groupKeys)
	add(&built, &later, "groups.NAME.announce.", announceKeys)
	add(&built, &later, "groups.NAME.interfaces.IF.", interfaceKeys)
	add(&built, &later, "groups.NAME.addresses.", addressKeys)
	add(&built, &later, "groups.NAME.routes.", routeKeys)
	return built, later
}

func add[T any](built, later *[]string, prefix string, keys []key[T]) {
	for _, k := range keys {
		if k.set == nil {
			*later = append(*later, prefix+k.name)
		} else {
			*built = append(*built, prefix+k.name)
		}
	}
}
