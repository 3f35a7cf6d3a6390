// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Load reads the file at path. Any error is an *Error.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		return Parse(path, data)
	}
	advice := "see to it that this user may read it"
	if errors.Is(err, fs.ErrNotExist) {
		advice = "create it, or name another file with --config"
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return nil, &Error{File: path, Cause: "cannot be read: " + err.Error(), Advice: advice}
}

// Parse is Load for data that is in memory already; name stands for the file in errors.
func Parse(name string, data []byte) (*Config, error) {
	d := newDecoder(name, data)
	root, err := d.syntax()
	if err != nil {
		return nil, err
	}
	cfg := defaults()
	cfg.File = name
	if err := decode(d, root, "the file", topKeys, &cfg); err != nil {
		return nil, err
	}
	if err := d.checkMonitor(&cfg); err != nil {
		return nil, err
	}
	if len(cfg.Groups)+len(cfg.Monitor) == 0 {
		return nil, d.errorAt(Pos{1, 1}, "add one under `groups:`", "there is no group")
	}
	return &cfg, nil
}

// decoder walks one file. What must be unique over all groups is remembered here.
type decoder struct {
	file      string
	data      []byte
	members   map[string]string // interface -> its group
	addresses map[addressKey]string
	count     int // data addresses so far
}

func newDecoder(file string, data []byte) *decoder {
	return &decoder{
		file:      file,
		data:      bytes.TrimPrefix(data, []byte("\ufeff")),
		members:   make(map[string]string),
		addresses: make(map[addressKey]string),
	}
}

// syntax returns the one mapping or null that the file holds.
func (d *decoder) syntax() (root ast.Node, err error) {
	if err := d.plausible(); err != nil {
		return nil, err
	}
	// The YAML library is fed what operators type; should one of its tokens surprise it, that is
	// still an error in the file and never the end of the daemon that was asked to reload.
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, d.errorAt(Pos{1, 1}, "write it more plainly", "not understood as YAML (%v)", p)
		}
	}()
	file, err := parser.ParseBytes(d.data, 0, parser.AllowDuplicateMapKey())
	var syntax yaml.Error
	switch {
	case errors.As(err, &syntax) && syntax.GetToken() != nil:
		p := syntax.GetToken().Position
		if column := indentTab(d.line(p.Line)); column > 0 {
			return nil, d.errorAt(Pos{p.Line, column}, "use spaces", "the line is indented with a tab")
		}
		return nil, d.errorAt(Pos{p.Line, p.Column}, "correct the YAML", "%s", oneLine(syntax.GetMessage()))
	case err != nil:
		return nil, d.errorAt(Pos{1, 1}, "correct the YAML", "%s", oneLine(err.Error()))
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			return nil, d.errorAt(place(doc.Body), "leave one in the file", "this is a second YAML document")
		}
		root = doc.Body
	}
	return root, nil
}

// plausible refuses what no configuration is and what would only keep the YAML parser busy: its
// time grows with the square of the depth.
func (d *decoder) plausible() error {
	const deepest = 32
	if len(d.data) > maxFile {
		return d.errorAt(Pos{1, 1}, "is it the right file?", "the file has more than %d bytes", maxFile)
	}
	line, flow, deepestFlow := 1, 0, 0
	for text := range bytes.Lines(d.data) {
		if !utf8.Valid(text) {
			at := Pos{line, 1 + utf8.RuneCount(validPrefix(text))}
			return d.errorAt(at, "save the file as UTF-8", "this is not UTF-8")
		}
		text, _, _ = bytes.Cut(text, []byte("#")) // comments may hold any brackets
		for _, c := range text {
			switch c {
			case '[', '{':
				flow++
			case ']', '}':
				flow = max(0, flow-1)
			}
			deepestFlow = max(deepestFlow, flow)
		}
		if deepestFlow > deepest || indicators(text) > deepest {
			return d.errorAt(Pos{line, 1}, "a configuration has six levels", "more than %d levels", deepest)
		}
		line++
	}
	return nil
}

// indicators counts the levels that a line opens by `- ` and `? `.
func indicators(text []byte) int {
	n := 0
	for _, f := range bytes.Fields(text) {
		if f[0] != '-' && f[0] != '?' {
			break
		}
		n++
	}
	return n
}

func validPrefix(text []byte) []byte {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return text[:i]
		}
		i += size
	}
	return text
}

// indentTab is the column of the tab that a line is indented with; 0 is none.
func indentTab(line string) int {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	return 1 + strings.IndexByte(indent, '\t')
}

// line returns a line of the text; lines count from 1 and end as YAML has it.
func (d *decoder) line(n int) string {
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(d.data))
	for line := range strings.SplitSeq(text, "\n") {
		if n--; n == 0 {
			return line
		}
	}
	return ""
}

// errorAt makes the error for a place. The YAML library puts some places just behind the text; the
// column is held to the line, so that an editor can always jump there.
func (d *decoder) errorAt(at Pos, advice, format string, args ...any) error {
	at.Column = min(at.Column, utf8.RuneCountInString(d.line(at.Line))+1)
	return &Error{File: d.file, Line: at.Line, Column: at.Column, Cause: fmt.Sprintf(format, args...), Advice: advice}
}

func oneLine(s string) string {
	return strings.Join(strings.Fields(s), " ")
}
