// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"strings"
)

// natTargets are iptables' names for what nftables calls otherwise.
var natTargets = map[string]string{"MASQUERADE": "masquerade", "SNAT": "snat", "DNAT": "dnat", "REDIRECT": "redirect"}

// ParseIptables reads what iptables-save prints; tool names it.
func ParseIptables(tool string, data []byte) []Rule {
	var rules []Rule
	table := ""
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if name, ok := strings.CutPrefix(text, "*"); ok {
			table = name
		}
		if spec, ok := strings.CutPrefix(text, "-A "); ok {
			rules = append(rules, iptablesRule(tool, table, spec))
		}
	}
	return rules
}

func iptablesRule(tool, table, spec string) Rule {
	r := Rule{Where: strings.TrimSuffix(tool, "-save") + " " + table + " `-A " + spec + "`"}
	rest := []string{tool, table}
	words := strings.Fields(spec)
	for i := 0; i < len(words); i++ {
		not := words[i] == "!" && i+1 < len(words)
		at := i
		if not {
			at++
		}
		value := ""
		if at+1 < len(words) {
			value = words[at+1]
		}
		switch words[at] {
		case "-i", "--in-interface":
			r.In = &Names{List: []string{value}, Not: not}
			i = at + 1
			continue
		case "-o", "--out-interface":
			r.Out = &Names{List: []string{value}, Not: not}
			i = at + 1
			continue
		case "-j", "--jump":
			r.NAT = natTargets[value]
		}
		rest = append(rest, words[i])
	}
	r.Rest = strings.Join(rest, " ")
	return r
}
