// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// LoadSolaris reads the Solaris files below root: etc/hostname.IF, etc/hostname6.IF, etc/hosts,
// etc/netmasks and etc/default/mpathd. Any error is an *Error without a column, whose cause begins
// with the word that is wrong.
func LoadSolaris(root string) (*Config, []Warning, error) {
	cfg, _, warnings, err := solaris(os.DirFS(root), root)
	return cfg, warnings, err
}

// ImportSolaris returns the YAML that means the same as the Solaris files below root.
func ImportSolaris(root string) ([]byte, []Warning, error) {
	_, text, warnings, err := solaris(os.DirFS(root), root)
	return text, warnings, err
}

// solaris goes the way of every configuration: what the files say is written down as YAML and that
// is read, so that defaults, limits and checks are the same. An error in a line of the YAML is told
// with the word that the line was made from.
func solaris(files fs.FS, root string) (*Config, []byte, []Warning, error) {
	r := &solarisReader{files: files, root: root}
	host, err := r.read()
	if err != nil {
		return nil, nil, nil, err
	}
	text, origin, err := host.yaml(r)
	if err != nil {
		return nil, nil, nil, err
	}
	cfg, err := Parse(r.path("etc/hostname.*"), text)
	var wrong *Error
	if errors.As(err, &wrong) {
		return nil, nil, nil, origin.translate(wrong)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	cfg.origin = origin
	return cfg, text, r.warnings, nil
}

// word of a Solaris file, with its place.
type word struct {
	text string
	file string // as the operator would name it
	line int
}

// String is the word as a message shows it, on one line whatever the file holds.
func (w word) String() string {
	if plainWord(w.text) {
		return w.text
	}
	return fmt.Sprintf("%.40q", w.text)
}

func (w word) place() string { return fmt.Sprintf("%s:%d", w.file, w.line) }

// plainWord can be shown as it is.
func plainWord(s string) bool {
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	return s != "" && len(s) <= 256 && !strings.ContainsFunc(s, odd)
}

func (w word) wrong(advice, format string, args ...any) *Error {
	return &Error{File: w.file, Line: w.line, Cause: w.String() + ": " + fmt.Sprintf(format, args...), Advice: advice}
}

// origins has the word that each line of the YAML was made from; zero for lines that say what all
// files do.
type origins []word

// at is where a place of the YAML comes from.
func (o origins) at(p Pos) word {
	if p.Line < 1 || p.Line > len(o) {
		return word{}
	}
	return o[p.Line-1]
}

func (o origins) translate(e *Error) *Error {
	w := o.at(Pos{e.Line, e.Column})
	if w.file == "" {
		return &Error{File: e.File, Cause: e.Cause, Advice: e.Advice}
	}
	return w.wrong(e.Advice, "%s", e.Cause)
}

// solarisReader reads the files of one root.
type solarisReader struct {
	files    fs.FS
	root     string
	warnings []Warning
	hosts    solarisHosts
	masks    []solarisMask
}

// path of a file as the operator would name it.
func (r *solarisReader) path(name string) string { return filepath.Join(r.root, name) }

func (r *solarisReader) warn(at word, advice, format string, args ...any) {
	r.warnings = append(r.warnings, Warning(*at.wrong(advice, format, args...)))
}

// lines of a file as words; a file that is not there has none. Lines of one word or more, with those
// that a backslash continues in one.
func (r *solarisReader) lines(name string, comments bool) ([][]word, error) {
	text, err := fs.ReadFile(r.files, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return nil, &Error{File: r.path(name), Cause: "cannot be read: " + err.Error(), Advice: "see to it that this user may read it"}
	case len(text) > maxFile:
		return nil, &Error{File: r.path(name), Line: 1, Cause: fmt.Sprintf("the file has more than %d bytes", maxFile), Advice: "is it the right file?"}
	}
	var lines [][]word
	var open []word
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if comments {
			line, _, _ = strings.Cut(line, "#")
		}
		line, goesOn := strings.CutSuffix(line, "\\")
		goesOn = goesOn && !comments
		for _, f := range strings.Fields(line) {
			open = append(open, word{f, r.path(name), number})
		}
		if !goesOn && len(open) > 0 {
			lines, open = append(lines, open), nil
		}
	}
	if len(open) > 0 {
		lines = append(lines, open)
	}
	for _, line := range lines {
		for _, w := range line {
			if !utf8.ValidString(w.text) || strings.ContainsFunc(w.text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				return nil, w.wrong("is it the right file?", "this is no text")
			}
		}
	}
	return lines, nil
}

// solarisHost is what the files say together.
type solarisHost struct {
	interfaces []*solarisInterface
	mpathd     solarisMpathd
}

func (r *solarisReader) read() (*solarisHost, error) {
	h := &solarisHost{}
	var err error
	if r.hosts, err = r.readHosts(); err != nil {
		return nil, err
	}
	if r.masks, err = r.readMasks(); err != nil {
		return nil, err
	}
	if h.mpathd, err = r.readMpathd(); err != nil {
		return nil, err
	}
	names, err := fs.ReadDir(r.files, "etc")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{File: r.path("etc"), Cause: "cannot be read: " + err.Error(), Advice: "name the folder that holds etc"}
	}
	// IPv4 first, as the boot scripts do; each in the order of the shell.
	for _, prefix := range []string{"hostname.", "hostname6."} {
		for _, entry := range names {
			name, ok := strings.CutPrefix(entry.Name(), prefix)
			if !ok {
				continue
			}
			if err := r.readInterface(h, entry.Name(), name, prefix == "hostname6."); err != nil {
				return nil, err
			}
		}
	}
	return h, nil
}

// readInterface adds what hostname.IF or hostname6.IF says.
func (r *solarisReader) readInterface(h *solarisHost, file, name string, v6 bool) error {
	at := word{name, r.path("etc/" + file), 1}
	if name == "" || name[len(name)-1] < '0' || name[len(name)-1] > '9' {
		r.warn(at, "rename the file if it is meant for an interface", "left out, as Solaris reads only names that end with a digit")
		return nil
	}
	if physical, _, logical := strings.Cut(name, ":"); logical {
		return at.wrong("write `addif` into hostname."+physical, "a file for a logical interface is not understood")
	}
	if !interfaceName(name) || !plainWord(name) {
		return at.wrong("use 1 .. 15 characters, no space, `/` or `:`", "this is no name for an interface")
	}
	lines, err := r.lines("etc/"+file, false)
	if err != nil {
		return err
	}
	m := h.byName(name, at)
	if len(lines) == 1 && !v6 {
		// What the boot script appends. It applies to the last address of the line.
		last := lines[0][len(lines[0])-1]
		for _, implied := range []string{"netmask", "+", "broadcast", "+", "up"} {
			lines[0] = append(lines[0], word{implied, last.file, last.line})
		}
	}
	for i, line := range lines {
		if line[0].text == "ipmp" && i == 0 {
			m.ipmp = true
			line = line[1:]
		}
		if v6 && len(line) > 0 {
			line = append(line, word{"up", line[0].file, line[0].line})
		}
		if err := m.ifconfig(r, line, v6); err != nil {
			return err
		}
	}
	return nil
}

func (h *solarisHost) byName(name string, at word) *solarisInterface {
	for _, m := range h.interfaces {
		if m.name == name {
			return m
		}
	}
	m := &solarisInterface{name: name, at: at}
	h.interfaces = append(h.interfaces, m)
	return m
}
