// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/control"
)

// ipmpd runs the program in this process.
func ipmpd(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(append([]string{"ipmpd"}, args...), &out, &err)
	return code, out.String(), err.String()
}

// Local times are UTC here, so that expected text is the same everywhere. This
// is set before any goroutine of a test could read it.
var _ = func() struct{} { time.Local = time.UTC; return struct{}{} }()

// fakeDaemon answers on a socket as the engine would.
type fakeDaemon struct {
	socket string
	events control.Broadcaster

	mu       sync.Mutex
	status   control.Status
	history  []control.HistoryEntry
	commands []control.Command
	refusal  error
	stop     func()
}

func (f *fakeDaemon) Status() *control.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	return &s
}

func (f *fakeDaemon) History() []control.HistoryEntry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.history
}

// probes are those of the status, then the daemon ends.
func (f *fakeDaemon) probes(ctx context.Context, tell func(control.Probe) error) error {
	at := time.Now()
	for i, p := range []control.Probe{
		{Interface: "hme0", Family: "ipv4", Probe: 589, State: control.ProbeAcked, Target: "192.0.2.1",
			RTTNS: new(int64(210_000)), RTTAvgNS: new(int64(1_200_000)), RTTDevNS: new(int64(4_000))},
		{Interface: "hme1", Family: "ipv4", Probe: 589, State: control.ProbeLost, Target: "192.0.2.1", RTTAvgNS: new(int64(22_000))},
		{State: control.ProbeGap, Lost: 7},
	} {
		p.Time = at.Add(time.Duration(i) * time.Second)
		if err := tell(p); err != nil {
			return err
		}
	}
	return nil
}

// change changes what the daemon answers.
func (f *fakeDaemon) change(c func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c()
}

func (f *fakeDaemon) Command(_ context.Context, c control.Command) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commands = append(f.commands, c)
	return f.refusal
}

func (f *fakeDaemon) Reload(context.Context) (*control.Reload, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusal != nil {
		return nil, f.refusal
	}
	return &control.Reload{Summary: "changed: blue", Warnings: control.List[string]{"f.yaml:7:7: a; b"}}, nil
}

func startFakeDaemon(t *testing.T) *fakeDaemon {
	t.Helper()
	f := &fakeDaemon{socket: filepath.Join(t.TempDir(), "s.sock"), status: exampleStatus(), history: exampleHistory()}
	l, err := control.Listen(f.socket)
	require.NoError(t, err)
	s := control.NewServer(control.ServerOptions{Listener: l, Backend: f, Events: &f.events, Log: slog.New(slog.DiscardHandler),
		Probes: f.probes, Version: func() control.Version { return ownVersion([]string{"tcx", "bpf_timer"}) }})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	f.stop = sync.OnceFunc(func() { cancel(); require.NoError(t, <-ended) })
	t.Cleanup(f.stop)
	return f
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root")
	}
	t.Skip("this test needs root")
}

func TestExitCodes(t *testing.T) {
	t.Setenv("IPMPD_SOCKET", filepath.Join(t.TempDir(), "none.sock"))
	for _, tt := range []struct {
		args string
		code int
		want string // of stderr, beginning
	}{
		{"", 2, "ipmpd: no command given; see"},
		{"frobnicate", 2, `ipmpd: unknown command "frobnicate"; see`},
		{"statsu", 2, `ipmpd: unknown command "statsu"; did you mean status or stat?`},
		{"--nonsense status", 2, "ipmpd: unknown flag: --nonsense; see"},
		{"status --nonsense", 2, "ipmpd: unknown flag: --nonsense; see"},
		{"status a b", 2, `ipmpd: status: unexpected argument "b"; usage: ipmpd status [GROUP] [--json] [--watch]`},
		{"watch a", 2, `ipmpd: watch: unexpected argument "a"; usage`},
		{"offline", 2, "ipmpd: offline: an argument is missing; usage: ipmpd offline IF [--force]"},
		{"online", 2, "ipmpd: online: an argument is missing; usage"},
		{"offline a b", 2, "ipmpd: offline: unexpected argument"},
		{"release a b", 2, "ipmpd: release: unexpected argument \"b\""},
		{"online a --force", 2, "ipmpd: unknown flag: --force"},
		{"history x", 2, `ipmpd: history: "x" is no id; the ids are`},
		{"history -1", 2, "ipmpd: unknown shorthand flag"},
		{"version x", 2, "ipmpd: version: unexpected argument"},
		{"reload x", 2, "ipmpd: reload: unexpected argument"},
		{"check x", 2, "ipmpd: check: unexpected argument"},
		{"check --config", 2, "ipmpd: flag needs an argument: --config; see"},

		{"check --config /nonexistent", 3, "ipmpd: /nonexistent: cannot be read: no such file or directory; create it"},

		{"status", 1, "ipmpd: no daemon at " + os.Getenv("IPMPD_SOCKET") + "; start it"},
		{"status --json", 1, "ipmpd: no daemon at"},
		{"status --watch", 1, "ipmpd: no daemon at"},
		{"watch", 1, "ipmpd: no daemon at"},
		{"history", 1, "ipmpd: no daemon at"},
		{"history 7", 1, "ipmpd: no daemon at"},
		{"offline hme0", 1, "ipmpd: no daemon at"},
		{"online hme0", 1, "ipmpd: no daemon at"},
		{"reload", 1, "ipmpd: no daemon at"},
		{"--socket /nonexistent/s status", 1, "ipmpd: no daemon at /nonexistent/s; start it"},
		{"status --socket /nonexistent/s", 1, "ipmpd: no daemon at /nonexistent/s; start it"},

		{"import --root /x", 3, "ipmpd: /x/etc/hostname.*: no interface is in a group; write"},
		{"import x", 2, "ipmpd: import: unexpected argument"},
		{"ifconfig hme0", 2, "ipmpd: ifconfig: unexpected argument"},
		{"calibrate a b --target c", 1, "ipmpd: calibrate is not built yet;"},
		{"stat -an -o x", 2, "ipmpd: stat: no valid output field in"},
		{"stat -g", 1, "ipmpd: no daemon at"},
		{"ifconfig -a", 1, "ipmpd: no daemon at"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			code, stdout, stderr := ipmpd(strings.Fields(tt.args)...)
			require.Equal(t, tt.code, code)
			require.Empty(t, stdout)
			require.True(t, strings.HasPrefix(stderr, tt.want), "%q", stderr)
			require.Equal(t, 1, strings.Count(stderr, "\n"), "one line: %q", stderr)
			require.True(t, strings.HasSuffix(stderr, "\n"))
		})
	}
}

func TestErrorsBecomeOneLine(t *testing.T) {
	require.Equal(t, "a, b", oneLine(errors.Join(errors.New("a\n"), errors.New("\r\nb"))))
	require.Equal(t, exitConfig, exitCode(fmt.Errorf("x: %w", &config.Error{})))
	require.Equal(t, exitUsage, exitCode(fmt.Errorf("x: %w", usageError("y"))))
	require.Equal(t, exitFailure, exitCode(errors.New("x")))
}

func TestHelpNamesEveryCommand(t *testing.T) {
	code, stdout, stderr := ipmpd("--help")
	require.Zero(t, code)
	require.Empty(t, stderr)
	for _, name := range []string{"run", "check", "status", "watch", "history", "offline", "online", "reload", "release", "version"} {
		require.Regexp(t, `(?m)^  `+name+` +\S`, stdout)
	}
}

// Every command of the contract is known here, built or refused.
func TestCommandsOfTheContract(t *testing.T) {
	text, err := os.ReadFile("../../docs/contract.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(text), "## 2. The binary")
	section, _, _ = strings.Cut(section, "## 3.")
	found := regexp.MustCompile("(?m)^\\| `ipmpd ([a-z]+)").FindAllStringSubmatch(section, -1)
	found = append(found, []string{"", "online"}) // in offline's row
	want := map[string]bool{}
	for _, m := range found {
		want[m[1]] = true
	}
	require.Len(t, want, 14)
	have := map[string]bool{}
	for _, c := range newRootCommand().Commands() {
		have[c.Name()] = true
	}
	require.Equal(t, want, have)
}

func TestGlobals(t *testing.T) {
	for _, tt := range []struct {
		env, args string
		want      globals
	}{
		{"", "", globals{"/run/ipmpd/ipmpd.sock", "/run/ipmpd/ipmpd.sock.state"}},
		{"/e", "", globals{"/e", "/e.state"}},
		{"/e", "--socket /s", globals{"/s", "/s.state"}},
		{"", "--socket /s --state /t", globals{"/s", "/t"}},
	} {
		t.Setenv("IPMPD_SOCKET", tt.env)
		root := newRootCommand()
		cmd, _, err := root.Find([]string{"status"})
		require.NoError(t, err)
		require.NoError(t, cmd.ParseFlags(strings.Fields(tt.args)))
		require.Equal(t, tt.want, globalsOf(cmd))
	}
}

func TestOfflineOnline(t *testing.T) {
	needRoot(t)
	f := startFakeDaemon(t)
	for _, args := range [][]string{{"offline", "hme0"}, {"offline", "--force", "hme0"}, {"online", "hme0"}} {
		code, stdout, stderr := ipmpd(append(args, "--socket", f.socket)...)
		require.Equal(t, []any{0, "", ""}, []any{code, stdout, stderr})
	}
	require.Equal(t, []control.Command{{Verb: "offline", Interface: "hme0"}, {Verb: "offline", Interface: "hme0", Force: true},
		{Verb: "online", Interface: "hme0"}}, f.commands)

	f.change(func() {
		f.refusal = control.Refused("it is the last usable member of unrealgrp1", "use --force to do it all the same")
	})
	code, _, stderr := ipmpd("offline", "hme1", "--socket", f.socket)
	require.Equal(t, 1, code)
	require.Equal(t, "ipmpd: offline hme1: it is the last usable member of unrealgrp1; use --force to do it all the same\n", stderr)
}

func TestReload(t *testing.T) {
	needRoot(t)
	f := startFakeDaemon(t)
	code, stdout, stderr := ipmpd("reload", "--socket", f.socket)
	require.Equal(t, []any{0, "warning: f.yaml:7:7: a; b\nchanged: blue\n", ""}, []any{code, stdout, stderr})

	f.change(func() {
		f.refusal = &control.Error{Status: control.WrongConfig, Cause: "f.yaml:2:1: no; do"}
	})
	code, stdout, stderr = ipmpd("reload", "--socket", f.socket)
	require.Equal(t, []any{3, "", "ipmpd: f.yaml:2:1: no; do\n"}, []any{code, stdout, stderr})
}

func TestVersion(t *testing.T) {
	f := startFakeDaemon(t)
	code, stdout, _ := ipmpd("version", "--socket", f.socket)
	require.Zero(t, code)
	require.Regexp(t, `(?m)^ipmpd +devel$`, stdout)
	require.Regexp(t, `(?m)^go +go1`, stdout)
	require.Regexp(t, `(?m)^daemon +the same, at /`, stdout)
	require.Regexp(t, `(?m)^kernel features in use +tcx, bpf_timer$`, stdout)
	f.stop()
	code, stdout, _ = ipmpd("version", "--socket", f.socket)
	require.Zero(t, code)
	require.Contains(t, stdout, "none at "+f.socket)
	require.NotContains(t, stdout, "kernel features")

	var out bytes.Buffer
	require.NoError(t, writeVersion(&out, "/s", control.Version{Version: "2"}, &control.Version{Version: "1", Commit: "abc"}, nil))
	require.Contains(t, out.String(), "1 abc at /s (restart it to run this version)")
}
