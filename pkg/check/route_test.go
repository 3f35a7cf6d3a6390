// SPDX-License-Identifier: Apache-2.0

package check

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoutes(t *testing.T) {
	one := []string{"hme0"}
	found := Routes([]Route{
		{"g", "default", []string{"hme0", "eth9"}, "by an interface of no member of the group, too", false},
		{"g", "10.1.0.0/16", one, "of a routing daemon", true},
		{"g", "10.2.0.0/16", one, "with a source that does not move", false},
		{"g", "10.3.0.0/16", []string{"hme1"}, "of a routing daemon", true},
		{"h", "10.4.0.0/16", []string{"hme2"}, "of a routing daemon", true},
	})
	const so = ": what has no data address as its source does not leave by another member"
	require.Equal(t, text(
		"warning routes: default over {hme0,eth9} stays, by an interface of no member of the group, too"+so,
		"note routes: 10.1.0.0/16 over hme0 stays, of a routing daemon (and 1 more)"+so,
		"note routes: 10.2.0.0/16 over hme0 stays, with a source that does not move"+so,
		"note routes: 10.4.0.0/16 over hme2 stays, of a routing daemon"+so,
	), lines(t, found))
	require.Equal(t, []string{"write it under `routes:` of group g, if it is to follow"}, found[0].Advice)
	require.Empty(t, found[1].Advice)
	require.Empty(t, Routes(nil))
}
