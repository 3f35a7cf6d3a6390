// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// built is the program built another way, once for all tests.
func built(t *testing.T, name string, args ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		lab.Start(t, lab.Options{}) // says that it needs root
	}
	binary := filepath.Join(filepath.Dir(program), name)
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	build := exec.Command("go", append(append([]string{"build"}, args...), "-o", binary, "../../cmd/ipmpd")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}

// quantiles of times, for people.
func quantiles(list []time.Duration) string {
	if len(list) == 0 {
		return "-"
	}
	list = slices.Sorted(slices.Values(list))
	at := func(p int) time.Duration { return list[(len(list)-1)*p/100].Round(100 * time.Microsecond) }
	return fmt.Sprintf("p50 %v, p99 %v, max %v", at(50), at(99), at(100))
}
