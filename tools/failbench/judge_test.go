// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

func TestAlign(t *testing.T) {
	told := []result.Event{{Name: "verdict", After: 300, Told: true}, {Name: toldAnnouncement, After: 330, Told: true}}
	seen := []result.Event{{Name: seenAnnouncement, After: 400}}
	require.Equal(t, []result.Event{{Name: "verdict", After: 370, Told: true}, {Name: toldAnnouncement, After: 400, Told: true}}, align(told, seen))
	require.Equal(t, int64(300), told[0].After, "what was told is not changed")
	require.Empty(t, align(told[:1], seen))
	require.Empty(t, align(told, nil))
}
