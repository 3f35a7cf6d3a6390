// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/ipmpd/ipmpd/pkg/check"
)

// patience with a tool that lists rules.
const patience = 5 * time.Second

// firewall reads the rules of this network namespace with the tools that made them, and says which
// it could not ask.
func firewall(ctx context.Context) (rules []check.Rule, flowtables []check.Flowtable, missed []string) {
	iptables := false
	for _, tool := range []string{"iptables-save", "ip6tables-save"} {
		text, err := runTool(ctx, tool)
		if err != nil {
			missed = append(missed, err.Error())
			continue
		}
		iptables = iptables || bytes.Contains(text, []byte("(nf_tables)"))
		rules = append(rules, check.ParseIptables(tool, text)...)
		// Rules of the old kind, behind the back of an iptables of the new kind.
		legacy := strings.Replace(tool, "-save", "-legacy-save", 1)
		names, _ := os.ReadFile("/proc/net/" + strings.Replace(strings.TrimSuffix(tool, "-save"), "tables", "_tables", 1) + "_names")
		if bytes.Contains(text, []byte("(nf_tables)")) && len(names) > 0 {
			text, err := runTool(ctx, legacy)
			if err != nil {
				missed = append(missed, err.Error())
				continue
			}
			rules = append(rules, check.ParseIptables(legacy, text)...)
		}
	}
	text, err := runTool(ctx, "nft", "-j", "list", "ruleset")
	if err != nil {
		return rules, nil, append(missed, err.Error())
	}
	more, flowtables, err := check.ParseNft(text, iptables)
	if err != nil {
		missed = append(missed, err.Error())
	}
	return append(rules, more...), flowtables, missed
}

// runTool returns what a tool prints. Its error is one line that begins with the tool's name.
func runTool(ctx context.Context, tool string, args ...string) ([]byte, error) {
	path, err := exec.LookPath(tool)
	if err != nil {
		// Ordinary users do not have it in their PATH, and some units neither.
		if path, err = exec.LookPath("/usr/sbin/" + tool); err != nil {
			return nil, fmt.Errorf("%s (not installed)", tool)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	text, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if said := strings.TrimSpace(string(exit.Stderr)); said != "" {
			return nil, fmt.Errorf("%s (%s)", tool, oneLine(errors.New(said)))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s (%w)", tool, err)
	}
	return text, nil
}
