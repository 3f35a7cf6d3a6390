// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/config"
)

// What `check` says of programs is what `run` and `reload` warn of.
func TestProgramsAreLookedAt(t *testing.T) {
	dir := t.TempDir()
	script := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600))
		require.NoError(t, os.Chmod(path, mode))
		return path
	}
	none, plain, open := filepath.Join(dir, "none"), script("plain", 0o644), script("open", 0o777)
	file := writeConfig(t, seedConfig+fmt.Sprintf("notify: [/bin/true, %s, %s, %s, %s]\n", none, plain, open, dir))
	from := source{file: file}
	cfg, warnings, err := from.loadForHost(func() ([]config.HostLink, error) {
		return []config.HostLink{{Name: "ipmptst0", Exists: true}, {Name: "ipmptst1", Exists: true}}, nil
	})
	require.NoError(t, err)
	require.Len(t, cfg.Notify, 5)
	var said []string
	for _, w := range warnings {
		said = append(said, fmt.Sprintf("%d: %s; %s", w.Line, w.Cause, w.Advice))
	}
	require.Equal(t, []string{
		"11: program " + none + " cannot be run: no such file or directory; create it, or remove it here",
		"11: program " + plain + " is not executable; chmod +x " + plain,
		"11: program " + open + " can be changed by others, and is run as root; chown root " + open + "; chmod go-w " + open,
		"11: program " + dir + " is no file; name a file",
	}, said)
	require.Equal(t, []string{"/bin/true", none, plain, open, dir}, programPaths(cfg.Notify))
}
