// SPDX-License-Identifier: Apache-2.0

package house

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ipmpd is the binary as users get it.
func ipmpd(t *testing.T) func(args ...string) (string, int) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "ipmpd")
	build := exec.Command("go", "build", "-o", path, "./cmd/ipmpd")
	build.Dir = root(t)
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return func(args ...string) (string, int) {
		cmd := exec.Command(path, args...)
		cmd.Env = []string{"IPMPD_SOCKET=" + filepath.Join(dir, "no.sock")}
		out, err := cmd.CombinedOutput()
		if _, exited := err.(*exec.ExitError); err != nil && !exited {
			require.NoError(t, err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
}

// documented returns the commands of section 2's table, each with its flags.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	commands := make(map[string][]string)
	span := regexp.MustCompile("`ipmpd ([a-z]+)([^`]*)`")
	flag := regexp.MustCompile(`--[a-z]+`)
	for line := range strings.Lines(contract(t, "2")) {
		if !strings.HasPrefix(line, "| `ipmpd ") {
			continue
		}
		// The first cell ends at a bar that no backslash protects.
		cell := regexp.MustCompile(`^\| (.*?[^\\]) \| `).FindStringSubmatch(line)
		require.NotNil(t, cell, "%s", line)
		for _, m := range span.FindAllStringSubmatch(cell[1], -1) {
			commands[m[1]] = flag.FindAllString(m[2], -1)
		}
	}
	require.Greater(t, len(commands), 10)
	return commands
}

// offered returns what a help text lists under a heading such as "Available Commands:".
func offered(help, heading string) []string {
	_, rest, _ := strings.Cut(help, heading+"\n")
	var names []string
	for line := range strings.Lines(rest) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			break
		}
		names = append(names, fields[0])
	}
	return names
}

var refused = regexp.MustCompile(`\Aipmpd: .*not built yet[^\n]*; [^\n]+\n\z`)

func TestCommands(t *testing.T) {
	run := ipmpd(t)
	help, code := run("help")
	require.Zero(t, code, "%s", help)
	built := offered(help, "Available Commands:")
	require.NotEmpty(t, built)

	want := documented(t)
	for _, name := range built {
		if name != "help" && name != "completion" { // cobra's own
			require.Contains(t, want, name, "docs/contract.md does not know `ipmpd %s`", name)
		}
	}
	for name, flags := range want {
		if !slices.Contains(built, name) {
			out, code := run(name)
			require.Equal(t, 1, code, "ipmpd %s: %s", name, out)
			require.Regexp(t, refused, out, "ipmpd %s is neither built nor refused", name)
			continue
		}
		help, code := run(name, "--help")
		require.Zero(t, code)
		for _, flag := range flags {
			if strings.Contains(help, flag+" ") || strings.Contains(help, flag+"\n") {
				continue
			}
			out, code := run(name, flag, "/nonexistent")
			require.NotZero(t, code)
			require.Regexp(t, refused, out, "ipmpd %s %s is neither built nor refused", name, flag)
		}
	}
	for _, flag := range []string{"--socket", "--state"} {
		require.Contains(t, help, flag)
	}
}

// Nothing is built in this release that the issue gave to a later one, and all that it gave is.
func TestBuiltCommands(t *testing.T) {
	help, _ := ipmpd(t)("help")
	built := offered(help, "Available Commands:")
	for _, name := range []string{"run", "check", "status", "watch", "history", "offline", "online", "reload", "release", "version",
		"import", "stat", "ifconfig"} {
		require.Contains(t, built, name)
	}
}

func TestMakeTargets(t *testing.T) {
	run := func(target string) string {
		cmd := exec.Command("make", target)
		cmd.Dir = root(t)
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	help := run("help")
	targets := 0
	for line := range strings.Lines(contract(t, "5")) {
		if !strings.HasPrefix(line, "| `make ") {
			continue
		}
		cell, _, _ := strings.Cut(line[2:], " | ")
		for _, m := range regexp.MustCompile("`(?:make )?([a-z-]+)").FindAllStringSubmatch(cell, -1) {
			targets++
			listed := regexp.MustCompile(`(?m)^  ` + m[1] + ` .*$`).FindString(help)
			require.NotEmpty(t, listed, "make help does not list %s", m[1])
			if strings.HasSuffix(listed, "(not built yet)") {
				require.Contains(t, run(m[1]), "make: "+m[1]+" is not built yet")
			}
		}
	}
	require.Greater(t, targets, 8)
}
