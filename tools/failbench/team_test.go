// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTeamReady(t *testing.T) {
	dump := func(up0, up1, active string) []byte {
		return []byte(`{"ports": {"hme0": {"link": {"up": ` + up0 + `}}, "hme1": {"link": {"up": ` + up1 + `}}}, "runner": {"active_port": "` + active + `"}}`)
	}
	ok, err := teamReady(dump("true", "true", "hme1"))
	require.NoError(t, err)
	require.True(t, ok)
	for want, text := range map[string][]byte{
		"hme1 is down":          dump("true", "false", "hme0"),
		`the active port is ""`: dump("true", "true", ""),
		"teamdctl state dump":   []byte("{"),
	} {
		ok, err := teamReady(text)
		require.False(t, ok)
		require.ErrorContains(t, err, want)
	}
}

// What is missing on this machine is named, with what to do.
func TestAbsentKernelParts(t *testing.T) {
	for _, e := range append(bondings(), teams()...) {
		subject, err := e.Subject()
		if err != nil {
			require.Contains(t, err.Error(), "; ", e.Name)
			continue
		}
		require.NotEmpty(t, subject, e.Name)
	}
}
