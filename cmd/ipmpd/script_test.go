// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// TestScripts runs what an operator types under Solaris' names, with a daemon that answers as the
// example does and refuses as the file `refusal` says. NODAEMON is a socket that nobody listens on.
func TestScripts(t *testing.T) {
	binary, err := os.Executable()
	require.NoError(t, err)
	bin := t.TempDir()
	for _, name := range []string{"ipmpd", "ipmpstat", "if_mpadm"} {
		require.NoError(t, os.Symlink(binary, filepath.Join(bin, name)))
	}
	daemons := map[string]*fakeDaemon{}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			f := startFakeDaemon(t)
			f.change(func() {
				// What exists on every host, and a member of a group.
				f.status.Groups[0].Interfaces[0].TargetsFrom = control.Words{"ipv4": "routes"}
				f.status.Groups[0].Interfaces[0].ProbesFrom = control.Words{"ipv4": "192.0.2.11"}
				f.status.Groups[0].Interfaces[0].Index = new(2)
				f.status.Groups[0].Interfaces[0].MTU = new(1500)
			})
			daemons[f.socket] = f
			e.Setenv("IPMPD_SOCKET", f.socket)
			e.Setenv("NODAEMON", filepath.Join(bin, "none.sock"))
			e.Setenv(asDaemon, "1")
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			return nil
		},
		Condition: func(string) (bool, error) { // root, the only one
			if os.Getuid() != 0 && os.Getenv("CI") == "true" {
				return false, errors.New("this test needs root")
			}
			return os.Getuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// state IF WORD: what the daemon says of a member from now on.
			"state": func(ts *testscript.TestScript, _ bool, args []string) {
				f := daemons[ts.Getenv("IPMPD_SOCKET")]
				f.change(func() {
					for g := range f.status.Groups {
						for i := range f.status.Groups[g].Interfaces {
							if m := &f.status.Groups[g].Interfaces[i]; m.Name == args[0] {
								m.State = args[1]
							}
						}
					}
				})
			},
			// quiet: nothing is probed.
			"quiet": func(ts *testscript.TestScript, _ bool, _ []string) {
				f := daemons[ts.Getenv("IPMPD_SOCKET")]
				f.change(func() { f.status.Groups[0].Interfaces[0].TargetsFrom = nil })
			},
			// refuse: the daemon refuses commands as for the last usable member.
			"refuse": func(ts *testscript.TestScript, _ bool, _ []string) {
				f := daemons[ts.Getenv("IPMPD_SOCKET")]
				f.change(func() { f.refusal = control.Refused("hme0 is the last usable member", "repeat with --force") })
			},
			// double: the daemon refuses, as another member has the MAC.
			"double": func(ts *testscript.TestScript, _ bool, _ []string) {
				f := daemons[ts.Getenv("IPMPD_SOCKET")]
				f.change(func() { f.refusal = control.Doubled("hme0 has the MAC of hme1", "give it one of its own") })
			},
			// did WHAT: the daemon's commands so far.
			"did": func(ts *testscript.TestScript, _ bool, args []string) {
				f := daemons[ts.Getenv("IPMPD_SOCKET")]
				f.mu.Lock()
				defer f.mu.Unlock()
				var list []string
				for _, c := range f.commands {
					text := c.Verb + " " + c.Interface
					if c.Force {
						text += " force"
					}
					list = append(list, text)
				}
				if len(list) != len(args) {
					ts.Fatalf("the daemon was told %q", list)
				}
				for i := range list {
					if list[i] != args[i] {
						ts.Fatalf("the daemon was told %q", list)
					}
				}
			},
		},
	})
}
