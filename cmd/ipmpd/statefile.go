// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/addr"
	"github.com/ipmpd/ipmpd/pkg/control"
)

const (
	// stateLayout is raised when a field of State changes its meaning.
	stateLayout = 1
	// maxStateFile is more than 1,000 failovers of 4,096 addresses need.
	maxStateFile = 1 << 30
)

// State is the state file. Readers ignore fields that they do not know.
type State struct {
	Layout  int                                `json:"layout"`
	NextID  uint64                             `json:"next_id"`
	History control.List[control.HistoryEntry] `json:"history"` // ids ascend
	// Offline are the interfaces that were offline in the boot that Boot names: a reboot ends it.
	Boot    string               `json:"boot"`
	Offline control.List[string] `json:"offline"`
	// Undo is what the host was before us, in that boot and in the network namespace that NetNS names.
	NetNS uint64    `json:"netns"`
	Undo  addr.Undo `json:"undo"`
	// Adopted routes follow their groups, Replaced are those of others that ours took the place of;
	// of this boot too. Known are the groups whose routes were looked for.
	Known    control.List[string]        `json:"known,omitempty"`
	Adopted  control.List[adoptedRoute]  `json:"adopted,omitempty"`
	Replaced control.List[replacedRoute] `json:"replaced,omitempty"`
	// Failed are the interfaces that had failed in that boot and namespace.
	Failed control.List[failedMember] `json:"failed,omitempty"`
}

// here drops what belongs to another boot, which has reset the host, or to another network namespace. It
// tells what it dropped, "" for nothing.
func (s *State) here() (dropped string) {
	if boot := bootID(); boot == "" || boot != s.Boot {
		if s.Boot != "" {
			dropped = "boot"
		}
		s.Boot, s.Offline, s.NetNS = boot, nil, 0
	}
	if ns := netnsID(); ns == 0 || ns != s.NetNS {
		if s.NetNS != 0 {
			dropped = "network namespace"
		}
		s.NetNS, s.Undo = ns, addr.Undo{}
		s.Known, s.Adopted, s.Replaced, s.Failed = nil, nil, nil, nil
	}
	return dropped
}

// netnsID names the network namespace of the calling thread, as none before it in this boot; 0 where
// it cannot be known. Inode numbers come back.
func netnsID() uint64 {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0
	}
	return cookie
}

// bootID names this boot of the machine; nothing where it cannot be known.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

func emptyState() State { return State{Layout: stateLayout, NextID: 1} }

// loadState reads a state file. What comes back is always usable.
func loadState(path string, log *slog.Logger) State {
	data, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return emptyState()
	}
	var s State
	if err == nil {
		s, err = parseState(data)
	}
	if err == nil {
		return s
	}
	aside := path + ".damaged"
	if moveErr := os.Rename(path, aside); moveErr != nil {
		aside = "nowhere: " + moveErr.Error()
	}
	log.Warn("the state file is of no use; starting without history", "file", path, "error", err, "set_aside", aside)
	s = emptyState()
	s.NextID = salvageNextID(data)
	return s
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxStateFile {
		return nil, errors.New("not a regular file of reasonable size")
	}
	return os.ReadFile(path)
}

func parseState(data []byte) (State, error) {
	s := emptyState()
	s.Layout = 0
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, err
	}
	if s.Layout != stateLayout {
		return State{}, fmt.Errorf("its layout is %d, this version knows %d", s.Layout, stateLayout)
	}
	for i := 1; i < len(s.History); i++ {
		if s.History[i].ID <= s.History[i-1].ID {
			return State{}, errors.New("the ids of its history do not ascend")
		}
	}
	if over := len(s.History) - maxHistory; over > 0 {
		s.History = s.History[over:]
	}
	if n := len(s.History); n > 0 {
		s.NextID = max(s.NextID, s.History[n-1].ID+1)
	}
	s.NextID = max(s.NextID, 1)
	return s, nil
}

var anyID = regexp.MustCompile(`"(?:next_)?id":\s*([0-9]{1,15})\b`)

// salvageNextID finds an id that was not used yet in what is left of a
// damaged file, because ids never repeat.
func salvageNextID(data []byte) uint64 {
	var most uint64
	for _, m := range anyID.FindAllSubmatch(data, -1) {
		if id, err := strconv.ParseUint(string(m[1]), 10, 64); err == nil {
			most = max(most, id)
		}
	}
	if most == 0 {
		return 1
	}
	return most + idReserve
}

// writeState replaces the file as a whole: after a crash at any moment there
// is the old one or the new one.
func writeState(path string, s State) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of the state file: %w", err)
	}
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err = encodeState(f, s); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("write state: %w", err)
	}
	return syncDir(dir)
}

// encodeState writes it as a line of JSON, and never has all of the history in memory for it.
func encodeState(w io.Writer, s State) error {
	history := s.History
	s.History = nil
	rest, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	// What comes before is numbers: it is this list.
	before, after, found := bytes.Cut(rest, []byte(`"history":[]`))
	if !found {
		return errors.New("encode state: no place for the history")
	}
	out := bufio.NewWriter(w) // keeps its first error
	fmt.Fprintf(out, `%s"history":`, before)
	err = history.Encode(out)
	fmt.Fprintf(out, "%s\n", after)
	return errors.Join(err, out.Flush())
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory of the state file: %w", err)
	}
	defer d.Close()
	// Some file systems cannot sync a directory, and need not.
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
