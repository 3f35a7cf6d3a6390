// SPDX-License-Identifier: Apache-2.0

package config

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNotify(t *testing.T) {
	require.Empty(t, parse(t, two).Notify)
	require.Empty(t, parse(t, two+"notify: []\n").Notify)
	require.Equal(t, []Program{{Pos{5, 5}, "/usr/bin/b"}, {Pos{6, 5}, "/etc/ipmpd/notify.d/a b"}},
		parse(t, two+"notify:\n  - /usr/bin/b\n  - /etc/ipmpd/notify.d/a b\n").Notify)
}

func TestCheckPrograms(t *testing.T) {
	for _, r := range []struct {
		name string
		is   HostProgram
		want string
	}{
		{"good", HostProgram{Mode: 0o755}, ""},
		{"of a group", HostProgram{Mode: 0o750}, ""},
		{"missing", HostProgram{Err: syscall.ENOENT}, "f:4:10: program /p cannot be run: no such file or directory; create it, or remove it here"},
		{"folder", HostProgram{Mode: 0o755 | fs.ModeDir}, "f:4:10: program /p is no file; name a file"},
		{"device", HostProgram{Mode: 0o755 | fs.ModeDevice}, "f:4:10: program /p is no file; name a file"},
		{"plain", HostProgram{Mode: 0o644}, "f:4:10: program /p is not executable; chmod +x /p"},
		{"of the world", HostProgram{Mode: 0o757}, "f:4:10: program /p can be changed by others, and is run as root; chown root /p; chmod go-w /p"},
		{"of its group", HostProgram{Mode: 0o775}, "f:4:10: program /p can be changed by others, and is run as root; chown root /p; chmod go-w /p"},
		{"of somebody", HostProgram{Mode: 0o755, Owner: 1000}, "f:4:10: program /p can be changed by others, and is run as root; chown root /p; chmod go-w /p"},
	} {
		t.Run(r.name, func(t *testing.T) {
			cfg := parse(t, two+"notify: [/p, /q]\n")
			var texts string
			for _, w := range CheckPrograms(cfg, []HostProgram{r.is, {Mode: 0o755}}) {
				texts += w.String()
			}
			require.Equal(t, r.want, texts)
		})
	}
}
