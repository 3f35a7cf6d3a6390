// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// prefix of everything the lab names on this machine: ipmplab-PID-N.
const prefix = "ipmplab-"

// Sweep removes the namespaces and directories of labs whose process is dead.
func Sweep() error {
	var errs []error
	for _, found := range []struct {
		dir    string
		remove func(name string) error
	}{
		{netnsDir, removeNetns},
		{os.TempDir(), func(name string) error { return os.RemoveAll(filepath.Join(os.TempDir(), name)) }},
	} {
		entries, err := os.ReadDir(found.dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("sweep: %w", err))
			continue
		}
		for _, e := range entries {
			if orphan(e.Name()) {
				errs = append(errs, found.remove(e.Name()))
			}
		}
	}
	return errors.Join(errs...)
}

func orphan(name string) bool {
	rest, ours := strings.CutPrefix(name, prefix)
	if !ours {
		return false
	}
	digits, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(digits)
	return err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}
