// SPDX-License-Identifier: Apache-2.0

package house

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/config"
)

// named are the mappings whose keys are the operator's own names.
var named = map[string]string{"groups": "NAME", "groups.NAME.interfaces": "IF"}

func TestConfigurationKeys(t *testing.T) {
	text := blocks(contract(t, "3"), "yaml")
	require.Len(t, text, 1)
	file, err := parser.ParseBytes([]byte(text[0]), 0)
	require.NoError(t, err)
	documented := make(map[string]bool)
	walk(documented, "", file.Docs[0].Body)
	// The example has no room for all keys of a route: "Also: metric, table".
	also := regexp.MustCompile(`Also: ([a-z, ]+)`).FindStringSubmatch(text[0])
	require.NotNil(t, also)
	for name := range strings.SplitSeq(also[1], ",") {
		documented["groups.NAME.routes."+strings.TrimSpace(name)] = true
	}

	known := slices.Concat(config.Keys(), config.NotBuilt())
	for _, k := range known {
		require.True(t, documented[k], "docs/contract.md does not know the key %s", k)
	}
	for k := range documented {
		refused := slices.ContainsFunc(config.NotBuilt(), func(up string) bool { return strings.HasPrefix(k, up+".") })
		require.True(t, refused || slices.Contains(known, k), "pkg/config neither has nor refuses the key %s", k)
	}
}

// walk notes the dotted keys of a node.
func walk(keys map[string]bool, prefix string, n ast.Node) {
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			key := v.Key.GetToken().Value
			if name, ok := named[strings.TrimSuffix(prefix, ".")]; ok {
				key = name
			} else {
				keys[prefix+key] = true
			}
			walk(keys, prefix+key+".", v.Value)
		}
	case *ast.SequenceNode:
		for _, v := range n.Values {
			walk(keys, prefix, v)
		}
	}
}

// The example of the contract shows the defaults; a file that says them is the file that says
// nothing. What is not built yet is taken out first.
func TestExampleShowsDefaults(t *testing.T) {
	text := blocks(contract(t, "3"), "yaml")[0]
	for _, key := range config.NotBuilt() {
		before := text
		text = without(text, key[strings.LastIndex(key, ".")+1:])
		require.NotEqual(t, before, text, "the example does not show %s", key)
	}
	full, err := config.Parse("contract.md", []byte(text))
	require.NoError(t, err)
	short, err := config.Parse("short", []byte("groups:\n  unrealgrp1:\n    interfaces:\n      hme0:\n"))
	require.NoError(t, err)

	require.Equal(t, short.LogLevel, full.LogLevel)
	require.Equal(t, short.Realtime.Priority, full.Realtime.Priority)
	require.Empty(t, full.Realtime.CPUs)
	a, b := short.Groups[0], full.Groups[0]
	b.Interfaces, b.Addresses, b.Routes, b.Pos, b.Targets = a.Interfaces, a.Addresses, a.Routes, a.Pos, a.Targets
	require.Equal(t, a, b)
}

// without takes a key out of YAML text, with the lines below it that are deeper.
func without(text, key string) string {
	var kept strings.Builder
	depth := -1 // of the key that is being left out
	for line := range strings.Lines(text) {
		bare := strings.TrimLeft(line, " ")
		indent := len(line) - len(bare)
		switch {
		case depth >= 0 && indent > depth:
			continue
		case strings.HasPrefix(bare, key+":"):
			depth = indent
			continue
		}
		depth = -1
		kept.WriteString(line)
	}
	return kept.String()
}
