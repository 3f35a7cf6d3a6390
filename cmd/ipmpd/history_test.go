// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
)

func exampleHistory() []control.HistoryEntry {
	at := time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC)
	return []control.HistoryEntry{
		{ID: 1, Time: at, Group: "unrealgrp1", Kind: "failover", Interface: "hme0", Family: "ipv4", Cause: "probe", Detail: "tx-path",
			Moved: []control.Moved{{Address: "192.0.2.10/24", From: "hme0", To: "hme1"}}, Complete: true,
			Timeline: control.Timeline{LastReply: new(int64(0)), Verdict: new(int64(301000)), EgressSwitched: new(int64(302000)),
				FirstAnnouncement: new(int64(330000)), Announced: new(int64(350000)), Routes: new(int64(380000)), Addresses: new(int64(420000))}},
		{ID: 66, Time: at.Add(time.Second), Group: "unrealgrp1", Kind: "failover", Interface: "hme1", Family: "both", Cause: "link", Detail: "carrier",
			Moved: []control.Moved{{Address: "192.0.2.20/24", From: "", To: "hme2"}, {Address: "192.0.2.21/24", From: "hme1", To: "hme2"},
				{Address: "2001:db8::1/64", From: "hme1", To: "hme3"}},
			Failed:   []control.Failed{{Address: "192.0.2.21/24", Step: "add", Error: "no buffer space"}},
			Timeline: control.Timeline{LastReply: new(int64(0)), Verdict: new(int64(20_000_000))}},
		{ID: 67, Time: at.Add(time.Minute), Group: "unrealgrp1", Kind: "group-failure", Complete: true},
	}
}

func TestHistoryText(t *testing.T) {
	f := startFakeDaemon(t)
	code, stdout, stderr := ipmpd("history", "--socket", f.socket)
	require.Equal(t, []any{0, ""}, []any{code, stderr})
	require.Equal(t, `ID  TIME                        GROUP       WHAT           MEMBER  FAMILY  WHY             VERDICT  DONE     MOVED
1   2026-01-02 03:04:05.123456  unrealgrp1  failover       hme0    ipv4    probe: tx-path  301us    420us    1 to hme1
66  2026-01-02 03:04:06.123456  unrealgrp1  failover       hme1    both    link: carrier   20.00ms  20.00ms  2 to hme2, 1 to hme3  not complete
67  2026-01-02 03:05:05.123456  unrealgrp1  group-failure  -       -       -               -        -        -
`, stdout)

	f.change(func() { f.history = nil })
	_, stdout, _ = ipmpd("history", "--socket", f.socket)
	require.Equal(t, "nothing has happened yet\n", stdout)
	_, stdout, _ = ipmpd("history", "--json", "--socket", f.socket)
	require.Equal(t, "[]\n", stdout)
}

func TestHistoryEntryText(t *testing.T) {
	f := startFakeDaemon(t)
	_, stdout, _ := ipmpd("history", "1", "--socket", f.socket)
	require.Equal(t, `1  failover hme0 (ipv4)
2026-01-02 03:04:05.123456789 +0000

  group     unrealgrp1
  cause     probe: tx-path
  complete  yes

  timeline
    last reply            0us  ●
    verdict             301us  ───────────────────────────●              +301us
    egress switched     302us  ────────────────────────────●               +1us
    first announcement  330us  ──────────────────────────────●            +28us
    announced           350us  ────────────────────────────────●          +20us
    routes              380us  ───────────────────────────────────●       +30us
    addresses           420us  ───────────────────────────────────────●   +40us

  moved
    192.0.2.10/24  hme0 → hme1
`, stdout)
	_, stdout, _ = ipmpd("history", "66", "--socket", f.socket)
	require.Equal(t, `66  failover hme1
2026-01-02 03:04:06.123456789 +0000

  group     unrealgrp1
  cause     link: carrier
  complete  no, still trying

  timeline
    link event      0us  ●
    verdict     20.00ms  ───────────────────────────────────────●  +20.00ms

  moved
    192.0.2.20/24   - → hme2
    192.0.2.21/24   hme1 → hme2
    2001:db8::1/64  hme1 → hme3

  failed steps
    192.0.2.21/24  add  no buffer space
`, stdout)
	_, stdout, _ = ipmpd("history", "67", "--socket", f.socket)
	require.Equal(t, `67  group-failure
2026-01-02 03:05:05.123456789 +0000

  group     unrealgrp1
  cause     -
  complete  yes
`, stdout)
	code, _, stderr := ipmpd("history", "2", "--socket", f.socket)
	require.Equal(t, 1, code)
	require.Equal(t, "ipmpd: no history entry 2; the ids that exist are listed by `ipmpd history`\n", stderr)
}

func TestHistoryJSON(t *testing.T) {
	f := startFakeDaemon(t)
	_, stdout, _ := ipmpd("history", "--json", "--socket", f.socket)
	want, err := json.Marshal(control.List[control.HistoryEntry](exampleHistory()))
	require.NoError(t, err)
	require.Equal(t, string(want)+"\n", stdout)
	_, stdout, _ = ipmpd("history", "66", "--json", "--socket", f.socket)
	var entries []control.HistoryEntry
	require.NoError(t, json.Unmarshal([]byte(stdout), &entries))
	require.Len(t, entries, 1)
	require.Equal(t, uint64(66), entries[0].ID)
}
