// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ipmpd/ipmpd/test/lab/flow"
)

// program is the ipmpd under test, built from the source as it is.
var program string

func TestMain(m *testing.M) {
	flow.Child()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "scenario:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if os.Geteuid() != 0 {
		return m.Run(), nil // each test says that it needs root
	}
	if program = os.Getenv("IPMPD_BINARY"); program != "" {
		return m.Run(), nil // where there is no Go: test/vm
	}
	dir, err := os.MkdirTemp("", "ipmpd-scenario-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "ipmpd")
	build := exec.Command("go", "build", "-o", program, "../../cmd/ipmpd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build ipmpd: %w\n%s", err, out)
	}
	return m.Run(), nil
}
