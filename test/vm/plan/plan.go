// SPDX-License-Identifier: Apache-2.0

// Package plan is what the runner on this machine writes down for the guest, and the marks of the
// guest's answers.
package plan

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
)

// Path is where the plan lies in the guest.
const Path = "/plan.json"

// Plan of one guest.
type Plan struct {
	// Modules of the kernel, in the order they are loaded in.
	Modules []string
	// Programs run one after the other.
	Programs []Program
	// Keep is a folder; what programs leave there is printed after them. "": none.
	Keep string
}

// Program is a test binary.
type Program struct {
	// Name is the package: "bpf", "pkg/addr".
	Name string
	// Path of the binary, Dir that it runs in: the package's folder.
	Path, Dir string
	Args      []string
	Env       []string // beside the guest's own
	// Seconds of the guest's clock after which it is killed.
	Seconds int
}

// Lines of the guest between the output of programs. Each begins with Mark.
const (
	Mark    = "@@vm "
	Kernel  = Mark + "kernel "  // release
	Begin   = Mark + "begin "   // name of a program
	End     = Mark + "end "     // name, then "ok" or why it ended
	File    = Mark + "file "    // a file's path below Plan.Keep; its content follows in base64
	EOF     = Mark + "eof"      // of that file
	Trouble = Mark + "trouble " // a line of the kernel's log that tells of a bug
	Failed  = Mark + "failed "  // the guest itself could not go on
	Done    = Mark + "done"     // the last line
)

// Print a file as the runner reads it.
func Print(w io.Writer, name string, content []byte) error {
	fmt.Fprintln(w, File+name)
	const line = 3 << 10
	for part := range slices.Chunk(content, line) {
		fmt.Fprintln(w, base64.StdEncoding.EncodeToString(part))
	}
	_, err := fmt.Fprintln(w, EOF)
	return err
}
