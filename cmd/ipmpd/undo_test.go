// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/addr"
)

func someUndo() addr.Undo {
	prefix := netip.MustParsePrefix("192.0.2.10/24")
	return addr.Undo{
		Sysctls:   map[string]addr.FoundSysctl{"net/ipv4/conf/hme0.5/rp_filter": {Link: 3, Found: "1", Set: "2"}},
		Addresses: []addr.FoundAddress{{Link: 3, LinkName: "hme0", Prefix: prefix, Flags: 128, At: 7, Form: addr.AddressForm{Label: "hme0:1"}}},
		Groups: []addr.UndoGroup{
			{Name: "blue", Slot: 0, Addresses: []netip.Prefix{prefix}, Members: []addr.UndoMember{{Name: "hme0", Index: 3}}},
			{Name: "green", Slot: 1, Released: true},
			{Name: "red", Slot: 2},
		},
		Former: []addr.UndoGroup{{Slot: 64, Members: []addr.UndoMember{{Name: "hme7", Index: 9, Clsact: true}}}},
	}
}

// What the host was before is in the file when SetUndo returns, though nobody runs the journal.
func TestUndoIsOnTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	j := openJournal(path, slog.New(slog.DiscardHandler))
	require.Empty(t, j.Undo())
	u := someUndo()
	require.NoError(t, j.SetUndo(u))
	require.Equal(t, u, readState(t, path).Undo)
	again := openJournal(path, slog.New(slog.DiscardHandler))
	require.Equal(t, u, again.Undo())

	// The later writes of the journal have it too, and what the caller changes is not in it.
	u.Sysctls["x"] = addr.FoundSysctl{}
	j2, end := runJournal(t, path)
	j2.SetOffline("hme0", true)
	end()
	require.Equal(t, someUndo(), readState(t, path).Undo)
	require.Equal(t, someUndo(), j.Undo())

	require.Error(t, openJournal(filepath.Join(path, "x"), slog.New(slog.DiscardHandler)).SetUndo(u), "a file that cannot be written")
}

// A record of another boot or network namespace is of another host.
func TestUndoOfAnotherHost(t *testing.T) {
	for _, row := range []struct {
		name string
		make func(*State)
		want addr.Undo
	}{
		{"this one", func(*State) {}, someUndo()},
		{"another boot", func(s *State) { s.Boot = "another" }, addr.Undo{}},
		{"another network namespace", func(s *State) { s.NetNS++ }, addr.Undo{}},
	} {
		path := filepath.Join(t.TempDir(), "s")
		require.NoError(t, openJournal(path, slog.New(slog.DiscardHandler)).SetUndo(someUndo()))
		s := readState(t, path)
		require.NotZero(t, s.NetNS)
		s.Offline = []string{"hme0"}
		row.make(&s)
		require.NoError(t, writeState(path, s))
		j := openJournal(path, slog.New(slog.DiscardHandler))
		require.Equal(t, row.want, j.Undo(), row.name)
		require.Equal(t, row.name != "another boot", j.Offline("hme0"))
	}
}

func TestChosen(t *testing.T) {
	u := someUndo()
	for _, row := range []struct {
		name   string
		groups []string
		err    string
	}{
		{"", []string{"blue", "red", ""}, ""}, // and what no group has any more
		{"blue", []string{"blue"}, ""},
		{"green", nil, ""}, // released already
		{"purple", nil, `no group "purple"; there are: blue, green, red`},
	} {
		r, err := chosen(&u, row.name)
		if row.err != "" {
			require.EqualError(t, err, row.err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, row.name == "", r.All)
		var names []string
		for _, g := range r.Groups {
			names = append(names, g.Name)
		}
		require.Equal(t, row.groups, names, row.name)
	}
	_, err := chosen(&addr.Undo{}, "blue")
	require.EqualError(t, err, "no group \"blue\"; there is none; see `ipmpd status`")
}

func TestReleaseCommand(t *testing.T) {
	needRoot(t)
	f := startFakeDaemon(t)
	code, stdout, stderr := ipmpd("release", "blue", "--socket", f.socket)
	require.Equal(t, []any{0, "", ""}, []any{code, stdout, stderr})
	require.Equal(t, "blue", f.commands[0].Group)
	code, _, stderr = ipmpd("release", "", "--socket", f.socket)
	require.Equal(t, 2, code)
	require.Equal(t, "ipmpd: release: GROUP is empty; leave it out to release all groups\n", stderr)
	require.Len(t, f.commands, 1)
}
