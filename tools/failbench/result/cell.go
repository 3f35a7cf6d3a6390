// SPDX-License-Identifier: Apache-2.0

package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// version of the files. One of another version is damaged: it is named and measured again.
const version = 1

// Cell is one contender in one scenario, and a file.
type Cell struct {
	Version   int    `json:"version"`
	Contender string `json:"contender"`
	Scenario  string `json:"scenario"`
	// Family of the contender, its settings, the scenario's title and its right answer, for the reader of the file alone.
	Family   string `json:"family"`
	Settings string `json:"settings"`
	Title    string `json:"title"`
	Right    string `json:"right"`
	// Stays: the right answer is that nothing moves. Interval of the contender's rounds, ns; 0 where it has none.
	Stays    bool  `json:"stays,omitempty"`
	Headline bool  `json:"headline,omitempty"`
	Interval int64 `json:"interval_ns,omitempty"`
	// Detects: the contender moves nothing; the gaps are times until its state was down.
	Detects bool `json:"detection_only,omitempty"`
	// Subject is what was measured: program, version, digest. A cell of another subject is measured again.
	Subject string `json:"subject"`
	Machine string `json:"machine"`
	Commit  string `json:"commit"`
	// NotRun is why there are no samples, or no more of them.
	NotRun  string   `json:"not_run,omitempty"`
	Want    int      `json:"want"`
	Samples []Sample `json:"samples,omitempty"`
}

// Sample is one failure event. All times are ns; those of the window are relative to the event.
type Sample struct {
	Round int    `json:"round"`
	When  string `json:"when"` // wall clock, RFC 3339
	// Inbound is judged at the host's application, Outbound at the peer's. Reference was not cut.
	Inbound   *Flow `json:"inbound,omitempty"`
	Outbound  *Flow `json:"outbound,omitempty"`
	Reference *Flow `json:"reference,omitempty"`
	// Unrecovered: the traffic did not come back within Patience.
	Unrecovered bool  `json:"unrecovered,omitempty"`
	Patience    int64 `json:"patience_ns,omitempty"`
	// Moves are members other than the active one that data frames or announcements came from.
	Moves int `json:"moves"`
	// Events on the wire and, where the contender tells, inside it.
	Events []Event `json:"events,omitempty"`
	// Reversion is what was lost from the repair until all was as before.
	Reversion *Reversion `json:"reversion,omitempty"`
	// Reported is the detection time that the contender says it can hold, in scenarios that ask.
	Reported int64 `json:"reported_ns,omitempty"`
	// Limit is the shortest detection time that the contender's rule allows: misses times interval and round trip.
	Limit int64 `json:"limit_ns,omitempty"`
	// CPU time that the contender's processes took in a second, ns, in scenarios that ask.
	CPU int64 `json:"cpu_ns_per_s,omitempty"`
}

// Flow is what a sequence-numbered flow says of a window.
type Flow struct {
	Gap        int64 `json:"gap_ns"` // longest time without an arrival
	Start      int64 `json:"start_ns"`
	End        int64 `json:"end_ns"`
	Open       bool  `json:"open,omitempty"` // nothing came after Start
	Sent       int   `json:"sent"`
	Lost       int   `json:"lost"`
	Duplicates int   `json:"duplicates,omitempty"`
	// SenderGap is the sender's own longest pause: above a millisecond the gap may be the machine's.
	SenderGap int64 `json:"sender_gap_ns"`
	Interval  int64 `json:"interval_ns"`
}

// Event of a failover.
type Event struct {
	Name  string `json:"name"`
	After int64  `json:"after_ns"` // of the failure event
	// Told by the contender itself, not seen on the wire.
	Told bool `json:"told,omitempty"`
}

// Reversion of RFC 6414.
type Reversion struct {
	Nanos        int64 `json:"ns"`
	LostInbound  int   `json:"lost_inbound"`
	LostOutbound int   `json:"lost_outbound"`
}

// Name of the cell and, with .json, of its file.
func (c *Cell) Name() string { return c.Contender + "." + c.Scenario }

// Done: all samples are there, or none will come.
func (c *Cell) Done() bool { return c.NotRun != "" || len(c.Samples) >= c.Want }

// Save writes the cell as a whole or not at all.
func (c *Cell) Save(dir string) error {
	c.Version = version
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := c.text()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, c.Name()+".json")
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// text has a line for each sample, so that git's differences can be read.
func (c *Cell) text() ([]byte, error) {
	head := *c
	head.Samples = nil
	text, err := json.Marshal(head)
	if err != nil || len(c.Samples) == 0 {
		return append(text, '\n'), err
	}
	text = append(text[:len(text)-1], `,"samples":[`...)
	for i, s := range c.Samples {
		line, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(text, '\n'), line...)
	}
	return append(text, "\n]}\n"...), nil
}

// Load reads a cell. A file that is not there is fs.ErrNotExist.
func Load(path string) (*Cell, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &Cell{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; remove it to measure it again", path, err)
	}
	if err := c.check(strings.TrimSuffix(filepath.Base(path), ".json")); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; remove it to measure it again", path, err)
	}
	return c, nil
}

// check what a torn or edited file would get wrong.
func (c *Cell) check(name string) error {
	switch {
	case c.Version != version:
		return fmt.Errorf("version %d, not %d", c.Version, version)
	case c.Name() != name:
		return fmt.Errorf("it is the cell %s", c.Name())
	case c.NotRun == "" && len(c.Samples) == 0:
		return errors.New("neither samples nor a cause why there are none")
	}
	for i, s := range c.Samples {
		for _, f := range []*Flow{s.Inbound, s.Outbound, s.Reference} {
			if f != nil && (f.Gap < 0 || f.Lost < 0 || f.Sent < f.Lost) {
				return fmt.Errorf("sample %d: gap %d ns, %d of %d packets lost", i, f.Gap, f.Lost, f.Sent)
			}
		}
	}
	return nil
}

// LoadAll reads the cells of a directory, by name, and tells which files are damaged.
func LoadAll(dir string) (cells []*Cell, damaged []error, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	slices.Sort(paths)
	for _, path := range paths {
		c, err := Load(path)
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		cells = append(cells, c)
	}
	return cells, damaged, nil
}
