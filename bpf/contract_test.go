// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"
)

// What Go calls the reasons is what ipmp.h calls them, in its order.
func TestReasonNames(t *testing.T) {
	header, err := os.ReadFile("ipmp.h")
	require.NoError(t, err)
	_, enum, found := strings.Cut(string(header), "enum ipmp_reason {")
	require.True(t, found)
	enum, _, _ = strings.Cut(enum, "}")
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^\tIPMP_R_(\w+),`).FindAllStringSubmatch(enum, -1) {
		names = append(names, strings.ToLower(m[1]))
	}
	require.Equal(t, "max", names[len(names)-1])
	require.Equal(t, names[:len(names)-1], reasonNames)
	require.Len(t, reasonNames, Reasons)
	require.Equal(t, "not_member", ReasonName(0))
	require.Equal(t, "reason_99", ReasonName(99))
}

// untested counters, and why no row reaches them.
var untested = map[string]string{
	"pull":         "bpf_skb_pull_data fails only where the kernel has no memory left",
	"egress_store": "as pull",
	"raced":        "needs eight lost races with Go or other CPUs in a row",
}

// Every counter is in a row of some test, or listed above.
func TestEveryCounterIsTested(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var all strings.Builder
	for _, name := range files {
		if name == "contract_test.go" {
			continue
		}
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		all.Write(b)
	}
	for _, name := range reasonNames {
		tested := strings.Contains(all.String(), `"`+name+`"`)
		_, listed := untested[name]
		require.NotEqual(t, tested, listed, name)
	}
}

// Both objects have the structs that Go has.
func TestSizes(t *testing.T) {
	sizes := map[string]uintptr{
		"ipmp_addr": unsafe.Sizeof(Addr{}), "ipmp_event": unsafe.Sizeof(Event{}),
		"ipmp_instance": unsafe.Sizeof(Instance{}), "ipmp_member": unsafe.Sizeof(Member{}),
		"ipmp_cast": unsafe.Sizeof(Cast{}), "ipmp_wire": unsafe.Sizeof(Wire{}), "ipmp_feed": unsafe.Sizeof(Feed{}),
		"ipmp_owner": unsafe.Sizeof(Owner{}), "ipmp_payload": unsafe.Sizeof(Payload{}),
		"ipmp_round": unsafe.Sizeof(Round{}), "ipmp_slot": unsafe.Sizeof(Slot{}),
		"ipmp_survivors": unsafe.Sizeof(Survivors{}), "ipmp_target": unsafe.Sizeof(Target{}),
		"ipmp_track": unsafe.Sizeof(Track{}), "ipmp_traffic": unsafe.Sizeof(Traffic{}),
	}
	for object, load := range map[string]func() (*ebpf.CollectionSpec, error){"timer": loadTimer, "tick": loadTick} {
		cs, err := load()
		require.NoError(t, err)
		for name, size := range sizes {
			var s *btf.Struct
			require.NoError(t, cs.Types.TypeByName(name, &s), "%s in %s", name, object)
			require.EqualValues(t, size, s.Size, "%s in %s", name, object)
		}
		for name, size := range map[string]uintptr{
			"members": sizes["ipmp_member"], "instances": sizes["ipmp_instance"], "tracks": sizes["ipmp_track"],
			"survivors": sizes["ipmp_survivors"], "owners": sizes["ipmp_owner"], "feeds": sizes["ipmp_feed"], "traffic": sizes["ipmp_traffic"],
		} {
			require.EqualValues(t, size, cs.Maps[name].ValueSize, name)
		}
		for name := range cs.Maps {
			require.LessOrEqual(t, len(name), 15, "map name")
		}
		require.EqualValues(t, Instances, cs.Maps["instances"].MaxEntries)
		require.EqualValues(t, Tracks, cs.Maps["tracks"].MaxEntries)
		require.EqualValues(t, Reasons, cs.Maps["counters"].MaxEntries)
	}
	require.EqualValues(t, unsafe.Sizeof(skbMark{}), unsafe.Sizeof(skbContext{}), "struct __sk_buff")
}

// The verifier's work; a loop that it cannot bound shows here first.
func TestVerifiedInstructions(t *testing.T) {
	for _, without := range []bool{false, true} {
		o := loadForTest(t, Options{WithoutTimer: without})
		for name, p := range map[string]*ebpf.Program{
			"ipmp_xdp": o.xdp, "ipmp_ingress": o.ingress, "ipmp_egress": o.egress, "ipmp_tick": o.tick, "ipmp_multicast": o.multicast,
		} {
			info, err := p.Info()
			require.NoError(t, err)
			n, ok := info.VerifiedInstructions()
			if ok {
				t.Logf("timer %-5v %-12s %6d instructions verified", !without, name, n)
				require.Less(t, n, uint32(100000), "a tenth of what the verifier takes")
			}
		}
	}
}
