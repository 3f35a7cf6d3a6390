// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// TestDamagedRemains: a start over a state file or pins that are lost, damaged, of another version or of
// another boot says so in one line, trusts nothing of it, and loses no packet.
func TestDamagedRemains(t *testing.T) {
	s := stage(t, setup{})
	tr := s.traffic()
	state := func(change func(text []byte) []byte) func() error {
		return func() error {
			text, err := os.ReadFile(s.daemon.State)
			if err != nil {
				return err
			}
			return os.WriteFile(s.daemon.State, change(text), 0o600)
		}
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	rows := []struct {
		name  string
		spoil func() error
		says  string
		aside bool // the file is kept beside
	}{
		{"state file lost", func() error { return os.Remove(s.daemon.State) }, "the state file of the former run is lost", false},
		{"state file cut off", state(func(text []byte) []byte { return text[:len(text)/2] }), "the state file is of no use", true},
		{"state file of another version", state(func(text []byte) []byte {
			return bytes.Replace(text, []byte(`"layout":1`), []byte(`"layout":77`), 1)
		}), "its layout is 77, this version knows 1", true},
		{"state file of another boot", state(func(text []byte) []byte {
			return bytes.ReplaceAll(text, bytes.TrimSpace(boot), []byte("another"))
		}), "the state file is of another boot", false},
		{"maps of another version", s.pin(func(dir string) error {
			old, err := filepath.Glob(filepath.Join(dir, "layout-*"))
			if err == nil && len(old) == 1 {
				err = os.Rename(old[0], filepath.Join(dir, "layout-9999"))
			}
			return err
		}), "pins of a former run are of no use", false},
		{"a pinned map that is none", s.pin(func(dir string) error {
			path := filepath.Join(dir, "tracks")
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		}), "map tracks", false},
		{"a pinned link that is none", s.pin(func(dir string) error {
			l, err := s.Host.Link("hme0")
			if err != nil {
				return err
			}
			path := filepath.Join(dir, fmt.Sprint("ingress-", l.Attrs().Index))
			if err := os.Remove(path); err != nil {
				return err
			}
			m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
			if err != nil {
				return err
			}
			return errors.Join(m.Pin(path), m.Close())
		}), "/ingress-", false},
	}
	picked := pick(len(rows), 3)
	for i, row := range rows {
		if !picked[i] {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			s, from := s.in(t), faults.Now()
			require.NoError(t, s.daemon.Kill())
			require.NoError(t, row.spoil())
			log, err := os.ReadFile(s.daemon.Log)
			require.NoError(t, err)
			require.NoError(t, s.daemon.Start())
			s.wait("everything that is probed to answer", s.ready)
			now, err := os.ReadFile(s.daemon.Log)
			require.NoError(t, err)
			require.Contains(t, string(now[len(log):]), row.says)
			_, err = os.Stat(s.daemon.State + ".damaged")
			require.Equal(t, row.aside, err == nil, "set aside")
			require.NoError(t, os.RemoveAll(s.daemon.State+".damaged"))
			require.Equal(t, 2, s.programs("hme0"))
			s.at("hme0", lab.Data)
			s.pass(100 * time.Millisecond)
			tr.lossless(from)
			require.Empty(t, words(s.history()))
		})
	}
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
}

// pin changes something in the folder of pins.
func (s *scene) pin(change func(dir string) error) func() error {
	return func() error {
		return s.InHost(func() error {
			dirs, err := filepath.Glob("/sys/fs/bpf/ipmpd/*")
			if err == nil && len(dirs) != 1 {
				err = fmt.Errorf("%d folders of pins", len(dirs))
			}
			if err != nil {
				return err
			}
			return change(dirs[0])
		})
	}
}
