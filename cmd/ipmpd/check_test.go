// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/check"
	"github.com/ipmpd/ipmpd/pkg/config"
)

const seedConfig = `groups:
  unrealgrp1:
    detection-time: 1ms
    interfaces:
      ipmptst0:
        test: ["192.0.2.11/24"]
      ipmptst1:
        test: ["192.0.2.12/24"]
    addresses:
      - 192.0.2.10/24
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ipmpd.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestCheck(t *testing.T) {
	file := writeConfig(t, seedConfig)
	code, stdout, stderr := ipmpd("check", "--config", file)
	const missing = "interface ipmptst%d does not exist; check the name, or plug it in; the group runs without it\n"
	about, found := strings.CutPrefix(stdout, "warning: "+file+":5:7: "+fmt.Sprintf(missing, 0)+"warning: "+file+":7:7: "+fmt.Sprintf(missing, 1))
	require.True(t, found, stdout)
	if missingRights(rightsOfTest(t)) == nil {
		require.Equal(t, []any{0, ""}, []any{code, stderr})
		about, found = strings.CutSuffix(about, file+": ok: 1 group, 2 interfaces, 1 address\n")
		require.True(t, found, stdout)
	} else {
		require.Equal(t, 1, code)
		require.Regexp(t, `^ipmpd: this process lacks [^\n]*; [^\n]+\n$`, stderr)
	}
	// What follows is of this host; every line is a finding, or advice below one.
	for line := range strings.Lines(about) {
		require.Regexp(t, `^((ok|note|warning|error): +[a-z]|        )`, line)
	}

	file = writeConfig(t, "groups:\n  a:\n    interfaces:\n      lo: {}\n")
	code, stdout, stderr = ipmpd("check", "--config", file)
	require.Equal(t, []any{3, ""}, []any{code, stdout})
	require.Equal(t, "ipmpd: "+file+":4:7: interface lo is a loopback; remove it\n", stderr)

	file = writeConfig(t, "groups:\n  a:\n    interfacs: {}\n")
	code, stdout, stderr = ipmpd("check", "--config", file)
	require.Equal(t, []any{3, ""}, []any{code, stdout})
	require.Regexp(t, `^ipmpd: `+file+`:3:5: [^\n]*interfacs[^\n]*; [^\n]+\n$`, stderr)
}

func rightsOfTest(t *testing.T) uint64 {
	t.Helper()
	effective, err := effectiveRights()
	require.NoError(t, err)
	return effective
}

func TestWriteChecked(t *testing.T) {
	cfg := &config.Config{File: "f.yaml", Groups: []config.Group{{}}}
	warnings := []config.Warning{{File: "f.yaml", Line: 5, Column: 7, Cause: "cause", Advice: "advice"}}
	found := []check.Finding{
		{Level: check.OK, About: "kernel", Text: "Linux"},
		{Level: check.Note, About: "real time", Text: "off"},
		{Level: check.Warning, About: "hme0", Text: "bad", Advice: []string{"do this", "  and that"}},
	}
	var out strings.Builder
	require.NoError(t, writeChecked(&out, cfg, warnings, found))
	const text = "warning: f.yaml:5:7: cause; advice\n" +
		"ok:      kernel     Linux\n" +
		"note:    real time  off\n" +
		"warning: hme0       bad\n" +
		"                    do this\n" +
		"                      and that\n"
	require.Equal(t, text+"f.yaml: ok: 1 group, 0 interfaces, 0 addresses\n", out.String())
	require.NoError(t, verdict(found))

	out.Reset()
	found = append(found, check.Finding{Level: check.Error, About: "hme1", Text: "XDP is taken", Advice: []string{"take it off"}})
	require.NoError(t, writeChecked(&out, cfg, warnings, found))
	require.Equal(t, text+"error:   hme1       XDP is taken\n                    take it off\n", out.String())
}

func TestLoadForHost(t *testing.T) {
	file := writeConfig(t, seedConfig)
	links := func(links ...config.HostLink) func() ([]config.HostLink, error) {
		return func() ([]config.HostLink, error) { return links, nil }
	}
	a, b := config.HostLink{Name: "ipmptst0", Exists: true, MTU: 1500}, config.HostLink{Name: "ipmptst1", Exists: true, MTU: 1500}
	cfg, warnings, err := (&source{file: file}).loadForHost(links(b, a))
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Len(t, cfg.Groups, 1)

	b.MTU = 9000
	_, _, err = (&source{file: file}).loadForHost(links(b, a))
	require.Equal(t, exitConfig, exitCode(err))
	require.ErrorContains(t, err, file+":7:7: interface ipmptst1 has MTU 9000")

	broken := errors.New("netlink is broken")
	_, _, err = (&source{file: file}).loadForHost(func() ([]config.HostLink, error) { return nil, broken })
	require.ErrorIs(t, err, broken)
	require.Equal(t, exitFailure, exitCode(err))
}

func TestCounted(t *testing.T) {
	require.Equal(t, "0 groups", counted(0, "group", "groups"))
	require.Equal(t, "1 group", counted(1, "group", "groups"))
	require.Equal(t, "2 groups", counted(2, "group", "groups"))
}
