// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// nftItem is one object of `nft -j list ruleset`; one of its fields is there.
type nftItem struct {
	Chain     *nftObject `json:"chain"`
	Rule      *nftObject `json:"rule"`
	Set       *nftObject `json:"set"`
	Map       *nftObject `json:"map"`
	Flowtable *nftObject `json:"flowtable"`
}

type nftObject struct {
	Family, Table, Chain, Name string
	Handle                     int
	Expr                       []map[string]any
	Elem                       []any
	Dev                        any
}

// nftTable is where sets are looked up.
type nftTable struct{ family, name string }

// ParseNft reads `nft -j list ruleset`. With alsoIptables, tables that iptables-nft made are left
// out, because iptables-save shows them better.
func ParseNft(data []byte, alsoIptables bool) ([]Rule, []Flowtable, error) {
	var doc struct{ Nftables []nftItem }
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, nil, fmt.Errorf("read nft's JSON: %w", err)
	}
	sets := map[nftTable]map[string][]any{}
	theirs := map[nftTable]bool{}
	for _, item := range doc.Nftables {
		for _, s := range []*nftObject{item.Set, item.Map} {
			if s != nil {
				t := nftTable{s.Family, s.Table}
				if sets[t] == nil {
					sets[t] = map[string][]any{}
				}
				sets[t]["@"+s.Name] = s.Elem
			}
		}
		if c := item.Chain; c != nil && ofIptables(c) {
			theirs[nftTable{c.Family, c.Table}] = alsoIptables
		}
	}
	var rules []Rule
	var flowtables []Flowtable
	for _, item := range doc.Nftables {
		if f := item.Flowtable; f != nil {
			flowtables = append(flowtables, Flowtable{Where: f.Family + " " + f.Table + " " + f.Name, Devices: names(f.Dev)})
		}
		if r := item.Rule; r != nil && !theirs[nftTable{r.Family, r.Table}] {
			rules = append(rules, nftRule(r, sets[nftTable{r.Family, r.Table}]))
		}
	}
	return rules, flowtables, nil
}

// ofIptables: iptables-nft writes its chains in capitals.
func ofIptables(c *nftObject) bool {
	return (c.Family == "ip" || c.Family == "ip6") &&
		slices.Contains([]string{"filter", "nat", "mangle", "raw", "security"}, c.Table) &&
		slices.Contains([]string{"INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING"}, c.Name)
}

func nftRule(o *nftObject, sets map[string][]any) Rule {
	r := Rule{Where: fmt.Sprintf("nftables %s %s %s, handle %d", o.Family, o.Table, o.Chain, o.Handle)}
	rest := []any{o.Family, o.Table, o.Chain}
	for _, e := range o.Expr {
		delete(e, "counter")
		interfaces := false
		if m, ok := e["match"].(map[string]any); ok {
			op, _ := m["op"].(string)
			interfaces = r.interfaces(m["left"], m["right"], op == "!=", sets)
		}
		if v, ok := e["vmap"].(map[string]any); ok {
			// What it does with each stays part of the rule.
			r.interfaces(v["key"], v["data"], false, sets)
		}
		for _, nat := range []string{"masquerade", "snat", "dnat", "redirect"} {
			if _, ok := e[nat]; ok {
				r.NAT = nat
			}
		}
		if x, ok := e["xt"].(map[string]any); ok {
			target, _ := x["name"].(string)
			r.NAT = cmp.Or(natTargets[target], r.NAT)
		}
		if !interfaces && len(e) > 0 {
			rest = append(rest, e)
		}
	}
	text, _ := json.Marshal(rest) // it came from JSON
	r.Rest = string(text)
	return r
}

// interfaces takes over a comparison with interfaces; false: it is none.
func (r *Rule) interfaces(left, right any, not bool, sets map[string][]any) bool {
	key := metaKey(left)
	if at, _ := left.(map[string]any); key == "" && at["concat"] != nil {
		// One of several things that are compared together: its names are worth knowing, but the
		// rest of the comparison must stay part of the rule.
		for i, part := range list(at["concat"]) {
			if k := metaKey(part); k != "" {
				r.bind(k, nth(elements(right, sets), i), not)
			}
		}
		return false
	}
	if key == "" {
		return false
	}
	r.bind(key, names(elements(right, sets)), not)
	return true
}

func (r *Rule) bind(key string, list []string, not bool) {
	n := &Names{List: list, Not: not}
	if key == "iif" {
		r.In = n
	} else {
		r.Out = n
	}
}

// metaKey is iif or oif, by name or by index, of {"meta": {"key": "iifname"}}.
func metaKey(v any) string {
	o, _ := v.(map[string]any)
	meta, _ := o["meta"].(map[string]any)
	switch meta["key"] {
	case "iif", "iifname":
		return "iif"
	case "oif", "oifname":
		return "oif"
	}
	return ""
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// elements of a value, a {"set": [...]} or a named set.
func elements(v any, sets map[string][]any) []any {
	switch v := v.(type) {
	case string:
		if elem, named := sets[v]; named {
			return elem
		}
	case map[string]any:
		if set, ok := v["set"]; ok {
			return list(set)
		}
	case []any:
		return v
	}
	return []any{v}
}

// names in a value: strings, first parts of pairs (of a map), elements with a timeout or a counter.
func names(v any) (out []string) {
	for _, e := range elements(v, nil) {
		switch e := e.(type) {
		case string:
			out = append(out, e)
		case []any:
			if len(e) > 0 {
				out = append(out, names(e[0])...)
			}
		case map[string]any:
			if elem, ok := e["elem"].(map[string]any); ok {
				out = append(out, names(elem["val"])...)
			}
		}
	}
	return out
}

// nth parts of concatenations.
func nth(elements []any, i int) (out []string) {
	for _, e := range elements {
		if pair, ok := e.([]any); ok && len(pair) > 0 {
			e = pair[0]
		}
		o, _ := e.(map[string]any)
		if parts := list(o["concat"]); i < len(parts) {
			out = append(out, names(parts[i])...)
		}
	}
	return out
}
