// SPDX-License-Identifier: Apache-2.0

package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// conformance is a row of docs/ipmp-conformance.md.
type conformance struct {
	line                                 int
	section, behaviour, verdict, how, by string
}

// verdicts of the document. Those that claim something need a test, or say that there is none.
var verdicts = map[string]bool{"same": true, "better": true, "different": true, "not applicable": false, "not built yet": false}

const (
	conformanceFile = "docs/ipmp-conformance.md"
	withoutTest     = "no test: " // and then what is missing
)

// specSections are those of the specification that have to have rows; the last one's are the 21
// weaknesses of its section 10.
func specSections() (sections []string) {
	for section, parts := range []int{1: 4, 2: 11, 3: 5, 4: 5, 5: 5, 6: 5, 7: 2, 8: 3, 9: 0, 10: 21} {
		for part := range parts {
			sections = append(sections, fmt.Sprintf("%d.%d", section, part+1))
		}
		if section > 0 && parts == 0 {
			sections = append(sections, strconv.Itoa(section))
		}
	}
	return sections
}

func conformanceRows(t *testing.T) (rows []conformance) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), conformanceFile))
	require.NoError(t, err)
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 2 || !regexp.MustCompile(`^ \d`).MatchString(cells[1]) {
			continue
		}
		require.Len(t, cells, 7, "%s:%d: a row has five cells", conformanceFile, number)
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, conformance{number, cells[1], cells[2], cells[3], cells[4], cells[5]})
	}
	return rows
}

// reference is a test that a row names: `FOLDER NAME`, `FOLDER NAME "row of its table"`, or, of
// testscripts, `FOLDER NAME "file"`.
type reference struct{ folder, name, part string }

var referencePattern = regexp.MustCompile("`((?:bpf|cmd|pkg|test)[a-z/]*) ((?:Test|Fuzz)[A-Za-z0-9]+)(?: \"([^\"`]+)\")?`")

func references(text string) (list []reference) {
	for _, m := range referencePattern.FindAllStringSubmatch(text, -1) {
		list = append(list, reference{m[1], m[2], m[3]})
	}
	return list
}

// testsOf a folder: the names of its test functions, and the strings that its test files have, where
// the rows of tables have their names.
func testsOf(t *testing.T, folder string) (names, texts map[string]bool) {
	t.Helper()
	names, texts = map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob(filepath.Join(root(t), folder, "*_test.go"))
	require.NoError(t, err)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil {
					names[n.Name.Name] = true
				}
			case *ast.BasicLit:
				if n.Kind == token.STRING {
					text, err := strconv.Unquote(n.Value)
					require.NoError(t, err)
					texts[text] = true
				}
			}
			return true
		})
	}
	scripts, err := filepath.Glob(filepath.Join(root(t), folder, "testdata/script/*.txt"))
	require.NoError(t, err)
	for _, name := range scripts {
		texts[filepath.Base(name)] = true
	}
	return names, texts
}

// Every row of the document has a verdict and a test that exists, or the reason why there is none;
// every section of the specification has a row.
func TestConformance(t *testing.T) {
	rows := conformanceRows(t)
	names, texts := map[string]map[string]bool{}, map[string]map[string]bool{}
	covered := map[string]bool{}
	last := -1
	sections := specSections()
	for _, r := range rows {
		at := fmt.Sprintf("%s:%d", conformanceFile, r.line)
		section := slices.Index(sections, r.section)
		require.NotEqual(t, -1, section, "%s: the specification has no section %s", at, r.section)
		require.GreaterOrEqual(t, section, last, "%s: section %s is out of order", at, r.section)
		last, covered[r.section] = section, true
		require.NotEmpty(t, r.behaviour, at)
		require.NotEmpty(t, r.how, at)
		claims, known := verdicts[r.verdict]
		require.True(t, known, "%s: %q is no verdict", at, r.verdict)

		list := references(r.by)
		for _, ref := range list {
			if names[ref.folder] == nil {
				names[ref.folder], texts[ref.folder] = testsOf(t, ref.folder)
			}
			require.True(t, names[ref.folder][ref.name], "%s: %s has no test %s", at, ref.folder, ref.name)
			require.True(t, ref.part == "" || texts[ref.folder][ref.part], "%s: %s has nothing named %q", at, ref.folder, ref.part)
		}
		require.Equal(t, strings.Count(r.by, "`")/2, len(list), "%s: all that is in ` there is a test", at)
		if len(list) > 0 {
			continue
		}
		reason, admitted := strings.CutPrefix(r.by, withoutTest)
		require.True(t, admitted || !claims, "%s: neither a test nor %q", at, withoutTest)
		require.Greater(t, len(strings.Fields(reason)), 3, "%s: neither a test nor a reason", at)
	}
	for _, s := range sections {
		require.True(t, covered[s], "%s: section %s has no row", conformanceFile, s)
	}
}

// What the document names outside its rows, as in the table of the bonding selftest, exists too.
func TestConformanceNamesTests(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root(t), conformanceFile))
	require.NoError(t, err)
	list := references(string(data))
	require.NotEmpty(t, list)
	type tests struct{ names, texts map[string]bool }
	folders := map[string]tests{}
	for _, ref := range list {
		of, known := folders[ref.folder]
		if !known {
			of.names, of.texts = testsOf(t, ref.folder)
			folders[ref.folder] = of
		}
		require.True(t, of.names[ref.name], "%s has no test %s", ref.folder, ref.name)
		require.True(t, ref.part == "" || of.texts[ref.part], "%s has nothing named %q", ref.folder, ref.part)
	}
}

// The sections are those of the specification, where that lies beside the clone.
func TestConformanceCoversTheSpecification(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root(t), "../shared/reference/ipmp-spec.md"))
	if os.IsNotExist(err) {
		return
	}
	require.NoError(t, err)
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^### (\d+\.\d+) |^## (9)\. |^(\d+)\. `).FindAllStringSubmatchIndex(string(data), -1) {
		text := func(i int) string { return string(data[m[2*i]:m[2*i+1]]) }
		weaknesses := strings.Index(string(data), "\n## 10. ")
		switch {
		case m[2] >= 0:
			sections = append(sections, text(1))
		case m[4] >= 0:
			sections = append(sections, text(2))
		case m[6] > weaknesses:
			sections = append(sections, "10."+text(3))
		}
	}
	require.Equal(t, sections, specSections())
}
