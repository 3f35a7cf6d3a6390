// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/ipmpd/ipmpd/pkg/config"
)

// hostPrograms looks at the programs of `notify`, for config.CheckPrograms.
func hostPrograms(list []config.Program) []config.HostProgram {
	out := make([]config.HostProgram, len(list))
	for i, p := range list {
		info, err := os.Stat(p.Path)
		if err != nil {
			var reason *fs.PathError
			if errors.As(err, &reason) {
				err = reason.Err // the path is named already
			}
			out[i].Err = err
			continue
		}
		out[i].Mode = info.Mode()
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			out[i].Owner = s.Uid
		}
	}
	return out
}
