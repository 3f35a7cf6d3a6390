// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab/flow"
)

func TestMain(m *testing.M) {
	flow.Child()
	os.Exit(m.Run())
}

func TestParse(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	o, err := parse(nil, env())
	require.NoError(t, err)
	require.Zero(t, o.cuts)
	require.Equal(t, "bin/ipmpd", o.binary)
	o, err = parse(nil, env("CUTS", "100", "JSON", "1", "ATTACH", "xdp", "FIRSTLOST", "0", "IPMPD", "/x"))
	require.NoError(t, err)
	require.Equal(t, 100, o.cuts)
	require.True(t, o.json)
	require.False(t, o.firstLost)
	require.Equal(t, "xdp", o.attach)
	require.Equal(t, "/x", o.binary)
	o, err = parse([]string{"-cuts", "3"}, env("CUTS", "100"))
	require.NoError(t, err)
	require.Equal(t, 3, o.cuts)
	_, err = parse(nil, env("CUTS", "many"))
	require.ErrorContains(t, err, "CUTS=many")
	_, err = parse([]string{"x"}, env())
	require.ErrorContains(t, err, `"x"`)
}

func daemon(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	binary := filepath.Join(t.TempDir(), "ipmpd")
	out, err := exec.Command("go", "build", "-o", binary, "../../cmd/ipmpd").CombinedOutput()
	require.NoError(t, err, string(out))
	return binary
}

// TestMeasure holds the last line to the contract; times are reports, not assertions.
func TestMeasure(t *testing.T) {
	for _, attach := range []string{"tcx", "xdp"} {
		t.Run(attach, func(t *testing.T) {
			var out bytes.Buffer
			o, err := parse([]string{"-ipmpd", daemon(t), "-cuts", "3", "-json", "-attach", attach}, func(string) string { return "" })
			require.NoError(t, err)
			err = run(context.Background(), o, &out)
			t.Log(out.String())
			require.NoError(t, err)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			type quantiles struct{ Min, P50, P90, P99, Max *float64 }
			type kind struct {
				N        int       `json:"n"`
				Inbound  quantiles `json:"inbound_gap_us"`
				Outbound quantiles `json:"outbound_gap_us"`
				Verdict  quantiles `json:"verdict_us"`
				Missed   *int      `json:"missed"`
			}
			var r struct {
				Silent  kind `json:"silent"`
				Carrier kind `json:"carrier"`
				TCP     bool `json:"tcp_ok"`
				False   *int `json:"false_failovers"`
				Planned *int `json:"planned_lost"`
				Attach  string
			}
			require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &r))
			for _, k := range []kind{r.Silent, r.Carrier} {
				require.Equal(t, 3, k.N)
				require.Zero(t, *k.Missed)
				require.Positive(t, *k.Inbound.P50)
				require.Positive(t, *k.Outbound.P99)
				require.NotNil(t, k.Verdict.Max)
			}
			require.Positive(t, *r.Silent.Verdict.Max, "a carrier's is counted from its own event: 0")
			require.True(t, r.TCP)
			require.Zero(t, *r.False)
			require.Zero(t, *r.Planned)
			require.Equal(t, attach, r.Attach)
		})
	}
}

func TestShow(t *testing.T) {
	var out bytes.Buffer
	o, err := parse([]string{"-ipmpd", daemon(t)}, func(string) string { return "" })
	require.NoError(t, err)
	err = run(context.Background(), o, &out)
	t.Log(out.String())
	require.NoError(t, err)
	for _, want := range []string{"hme0 goes silent", "cable is pulled", "1 connection, 2 failovers", "repaired"} {
		require.Contains(t, out.String(), want)
	}
}
