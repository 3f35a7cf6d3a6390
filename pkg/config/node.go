// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	at    Pos // of the key
	value ast.Node
}

// place is where a node begins. Of a block mapping the library knows only the first colon.
func place(n ast.Node) Pos {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	p := n.GetToken().Position
	return Pos{p.Line, p.Column}
}

// mapping returns the entries of n in file order; nothing at all is an empty mapping.
func (d *decoder) mapping(n ast.Node, what string) ([]entry, error) {
	if empty(n) {
		return nil, nil
	}
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return nil, d.wrongKind(n, what, "keys and values, `key: value`")
	}
	entries := make([]entry, 0, len(m.Values))
	seen := make(map[string]Pos, len(m.Values))
	for _, v := range m.Values {
		e := entry{at: place(v.Key), value: v.Value}
		switch k := v.Key.(type) {
		case *ast.StringNode:
			e.key = k.Value
		case *ast.MappingKeyNode, *ast.MergeKeyNode, *ast.AliasNode, *ast.AnchorNode, *ast.TagNode:
			return nil, d.errorAt(e.at, "write the key out", "%s may have plain keys only", what)
		default: // a name that looks like a number or a truth value is still a name
			e.key = k.GetToken().Value
		}
		if first, ok := seen[e.key]; ok {
			return nil, d.errorAt(e.at, "remove one of the two", "%q is there already, in line %d", e.key, first.Line)
		}
		seen[e.key] = e.at
		entries = append(entries, e)
	}
	return entries, nil
}

// list returns the elements of n; nothing at all is an empty list.
func (d *decoder) list(n ast.Node, what string) ([]ast.Node, error) {
	if empty(n) {
		return nil, nil
	}
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, d.wrongKind(n, what, "a list, `[a, b]`")
	}
	return s.Values, nil
}

func empty(n ast.Node) bool {
	if n == nil {
		return true
	}
	_, null := n.(*ast.NullNode)
	return null
}

func (d *decoder) wrongKind(n ast.Node, what, want string) error {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return d.errorAt(place(n), "write the value out", "%s has a YAML anchor, alias or tag", what)
	}
	return d.errorAt(place(n), "write "+want, "%s has a value of the wrong kind", what)
}

// text returns a scalar as it is written; form says what it should look like.
func (d *decoder) text(n ast.Node, what, form string) (string, error) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", d.errorAt(place(n), "write "+form+" or remove the key", "%s has no value", what)
	}
	return "", d.wrongKind(n, what, form)
}

func (d *decoder) integer(n ast.Node, what string, low, high int) (int, error) {
	form := fmt.Sprintf("a whole number, %d .. %d", low, high)
	s, err := d.text(n, what, form)
	if err != nil {
		return 0, err
	}
	v, err := strconv.Atoi(s)
	_, plain := n.(*ast.IntegerNode)
	// Neither quoted, nor in another base: 010 is 8 to some readers and 10 to others.
	if err != nil || !plain || strconv.Itoa(v) != s {
		return 0, d.errorAt(place(n), "write "+form, "%s is %q, no whole number", what, s)
	}
	if v < low || v > high {
		return 0, d.errorAt(place(n), fmt.Sprintf("use %d .. %d", low, high), "%s %d is out of range", what, v)
	}
	return v, nil
}

func (d *decoder) boolean(n ast.Node, what string) (bool, error) {
	if b, ok := n.(*ast.BoolNode); ok {
		return b.Value, nil
	}
	s, err := d.text(n, what, "true or false")
	if err != nil {
		return false, err
	}
	return false, d.errorAt(place(n), "write true or false", "%s is %q", what, s)
}

// duration takes low .. high; a high of 0 is no upper limit.
func (d *decoder) duration(n ast.Node, what string, low, high time.Duration) (time.Duration, error) {
	const form = "a time with its unit, as 400us, 100ms, 5s"
	s, err := d.text(n, what, form)
	if err != nil {
		return 0, err
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return 0, d.errorAt(place(n), "write "+form, "%s is %q, no time", what, s)
	}
	if v < low || high != 0 && v > high {
		limits := fmt.Sprintf("use %s .. %s", short(low), short(high))
		if high == 0 {
			limits = fmt.Sprintf("use at least %s", short(low))
		}
		return 0, d.errorAt(place(n), limits, "%s %s is out of range", what, s)
	}
	return v, nil
}

// short prints a limit as an operator would type it (1m0s is 60s, 50µs is 50us).
func short(v time.Duration) string {
	if v%time.Second == 0 {
		return fmt.Sprintf("%ds", v/time.Second)
	}
	return strings.Replace(v.String(), "µ", "u", 1)
}

func choice[T ~string](d *decoder, n ast.Node, what string, values ...T) (T, error) {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = string(v)
	}
	form := strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
	s, err := d.text(n, what, form)
	if err != nil {
		return "", err
	}
	for _, v := range values {
		if s == string(v) {
			return v, nil
		}
	}
	return "", d.errorAt(place(n), "write "+form, "%s is %q", what, s)
}

// prefix takes an address with its length, host bits kept.
func (d *decoder) prefix(n ast.Node, what string) (netip.Prefix, error) {
	const form = "an address with its length, as 192.0.2.10/24 or 2001:db8::10/64"
	s, err := d.text(n, what, form)
	if err != nil {
		return netip.Prefix{}, err
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && !p.Addr().Is4In6() {
		return p, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		length := 24
		if a.Is6() {
			length = 64
		}
		return netip.Prefix{}, d.errorAt(place(n), fmt.Sprintf("add it, as %s/%d", s, length), "%s %s has no length", what, s)
	}
	return netip.Prefix{}, d.errorAt(place(n), "write "+form, "%s is %q, no address with a length", what, s)
}

// address takes an address without length or zone.
func (d *decoder) address(n ast.Node, what string) (netip.Addr, error) {
	const form = "an address, as 192.0.2.1 or 2001:db8::1"
	s, err := d.text(n, what, form)
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Addr{}, d.errorAt(place(n), "write "+form, "%s is %q, no address", what, s)
	}
	return a, nil
}
