// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/config"
)

const twoGroups = `groups:
  blue:
    detection-time: 1ms
    targets: [192.0.2.1]
    interfaces: {hme0: {test: [192.0.2.11/24]}, hme1: {test: [192.0.2.12/24]}}
    addresses: [192.0.2.10/24]
    routes: [{to: 0.0.0.0/0, via: 192.0.2.1}]
  red:
    interfaces: {hme2: {}, hme3: {}}
    addresses: [192.0.3.10/24]
`

func TestDifference(t *testing.T) {
	parse := func(text string) []config.Group {
		cfg, err := config.Parse("file", []byte(text))
		require.NoError(t, err)
		return cfg.Groups
	}
	blue := twoGroups[:strings.Index(twoGroups, "  red:")]
	red := twoGroups[strings.Index(twoGroups, "  red:"):]
	replace := func(old, by string) string {
		require.Contains(t, twoGroups, old)
		return strings.Replace(twoGroups, old, by, 1)
	}
	for _, row := range []struct{ file, want string }{
		{twoGroups, "nothing changed"},
		{"# a comment\n\n" + replace("{hme2: {}, hme3: {}}", "\n      hme2:\n      hme3: {standby: false}"), "nothing changed"},
		{replace("detection-time: 1ms", "detection-time: 2ms"), "changed: blue"},
		{replace("192.0.2.12/24", "192.0.2.13/24"), "changed: blue"},
		{replace("[192.0.3.10/24]", "[192.0.3.10/24, 192.0.3.20/24]"), "changed: red"},
		{replace("192.0.2.1}", "192.0.2.2}"), "changed: blue"},
		{replace("hme2: {}, hme3: {}", "hme3: {}, hme2: {}"), "changed: red"},
		{blue, "gone: red"},
		{twoGroups + strings.NewReplacer("red", "green", "hme2", "hme4", "hme3", "hme5", "192.0.3", "192.0.4").Replace(red), "new: green"},
		{replace("  red:", "  green:"), "new: green; gone: red"},
		{"groups:\n" + red + strings.TrimPrefix(blue, "groups:\n"), "another order of the groups"},
		{replace("hme3: {}", "hme3: {}, hme4: {}") + "log-level: debug\n", "changed: red"},
	} {
		d := compare(parse(twoGroups), parse(row.file))
		require.Equal(t, row.want, d.String(), row.file)
		require.Equal(t, row.want == "nothing changed", d.nothing())
	}
}
