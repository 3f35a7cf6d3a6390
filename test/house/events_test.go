// SPDX-License-Identifier: Apache-2.0

package house

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// published is where an event is made, and with which fields.
type published struct{ files, fields map[string]bool }

// publishedEvents reads from the code which events are made where, by their constants.
func publishedEvents(t *testing.T) map[string]*published {
	t.Helper()
	names := map[string]string{} // constant -> event
	events := map[string]*published{}
	fset := token.NewFileSet()
	parse := func(path string) *ast.File {
		f, err := parser.ParseFile(fset, filepath.Join(root(t), path), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		return f
	}
	ast.Inspect(parse("pkg/control/event.go"), func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			value, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			names[v.Names[0].Name] = value
			events[value] = &published{map[string]bool{}, map[string]bool{}}
		}
		return true
	})
	for _, folder := range []string{"cmd/ipmpd", "pkg/control"} {
		files, err := filepath.Glob(filepath.Join(root(t), folder, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			path := folder + "/" + filepath.Base(file)
			if strings.HasSuffix(path, "_test.go") || path == "pkg/control/event.go" {
				continue
			}
			readEvents(parse(path), names, func(event string, fields []string) {
				events[event].files[path] = true
				for _, f := range fields {
					events[event].fields[f] = true
				}
			})
		}
	}
	return events
}

// readEvents of one file: literals of an Event with their fields, and the constants that are put into
// one later, whose fields are those of the literal.
func readEvents(f *ast.File, names map[string]string, made func(event string, fields []string)) {
	constant := func(n ast.Expr) string {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			return names[n.Sel.Name]
		case *ast.Ident:
			return names[n.Name]
		}
		return ""
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			event, fields := "", []string{}
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					key, _ := kv.Key.(*ast.Ident)
					switch {
					case key == nil || key.Name == "Time":
					case key.Name == "Event":
						event = constant(kv.Value)
					default:
						fields = append(fields, strings.ToLower(key.Name))
					}
				}
			}
			if event != "" {
				made(event, fields)
			}
		case *ast.AssignStmt:
			for _, v := range n.Rhs {
				if event := constant(v); event != "" {
					made(event, nil)
				}
			}
		}
		return true
	})
}

// Every event of the contract is really made, where docs/events.md says, with the fields that it says,
// and shown by a test that exists.
func TestEventsAreDocumented(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root(t), "docs/events.md"))
	require.NoError(t, err)
	rows := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (.+) \\|$").FindAllStringSubmatch(string(data), -1) {
		rows[m[1]] = strings.Split(m[2], " | ")
	}
	code := publishedEvents(t)
	require.ElementsMatch(t, slices.Collect(maps.Keys(code)), slices.Collect(maps.Keys(rows)))
	tests := testNames(t)
	for event, row := range rows {
		require.Len(t, row, 4, event)
		fields, places, shown := strings.Split(row[1], ", "), strings.Fields(row[2]), strings.Fields(row[3])
		require.NotEmpty(t, places, event)
		for _, p := range places {
			require.True(t, code[event].files[p], "%s is not made in %s", event, p)
		}
		require.Subset(t, places, slices.Collect(maps.Keys(code[event].files)), "%s is made elsewhere too", event)
		for f := range code[event].fields {
			require.Contains(t, fields, f, "%s has a field that docs/events.md does not say", event)
		}
		require.NotEmpty(t, shown, event)
		for _, name := range shown {
			require.True(t, tests[name], "%s: there is no test %s", event, name)
		}
		example(t, string(data), event, fields)
	}
}

// example of an event: it has something in each of its fields, or in some example's.
func example(t *testing.T, text, event string, fields []string) {
	t.Helper()
	for _, block := range blocks(text, "json") {
		for line := range strings.Lines(block) {
			var ev control.Event
			dec := json.NewDecoder(strings.NewReader(line))
			dec.DisallowUnknownFields()
			require.NoError(t, dec.Decode(&ev), line)
			if ev.Event != event {
				continue
			}
			again, err := json.Marshal(ev)
			require.NoError(t, err)
			require.JSONEq(t, string(again), line)
			var values map[string]any
			require.NoError(t, json.Unmarshal(again, &values))
			for name, v := range values {
				if name != "time" && name != "event" && v != "" {
					require.Contains(t, fields, name, "the example of %s has a field that the event has not", event)
				}
			}
			return
		}
	}
	t.Errorf("docs/events.md has no example of %s", event)
}

// testNames are the tests of the whole repository.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	require.NoError(t, filepath.WalkDir(root(t), func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(data), -1) {
			names[m[1]] = true
		}
		return err
	}))
	return names
}
