// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lines are findings as text, LEVEL ABOUT: TEXT, without advice, which must be there where something
// is wrong.
func lines(t *testing.T, found []Finding) string {
	t.Helper()
	var out []string
	for _, f := range found {
		if f.Level == Error || f.Level == Warning && !strings.Contains(f.Text, "more") {
			require.NotEmpty(t, f.Advice, "%s: what is to be done?", f.Text)
		}
		require.NotContains(t, f.Text, "\n")
		out = append(out, f.Level.String()+" "+f.About+": "+f.Text)
	}
	return strings.Join(out, "\n")
}

func text(lines ...string) string { return strings.Join(lines, "\n") }

func TestAtMost(t *testing.T) {
	list := make([]Finding, most+3)
	require.Len(t, atMost(list[:most], "x", "rules"), most)
	short := atMost(list, "x", "rules")
	require.Len(t, short, most+1)
	require.Equal(t, "and 3 more rules like these", short[most].Text)
}
