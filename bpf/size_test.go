// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	_ "embed"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// sizes are those of the committed objects; a change that makes a program longer is to be seen in
// its commit. `UPDATE=1 go test -run ProgramSizes ./bpf` writes them anew (as root).
//
//go:embed testdata/sizes.txt
var sizes string

const sizesHead = "# object, program, instructions, instructions that the verifier walked (kernel %s)\n"

// Instructions are those of the objects. What the verifier walks is another number on every kernel, so
// it is bounded: by a tenth more on the kernel of the file, by four times on others.
func TestProgramSizes(t *testing.T) {
	needRoot(t)
	var name unix.Utsname
	require.NoError(t, unix.Uname(&name))
	kernel := strings.Join(strings.SplitN(unix.ByteSliceToString(name.Release[:]), ".", 3)[:2], ".")
	objects := []struct {
		name string
		spec func() (*ebpf.CollectionSpec, error)
	}{{name: "timer", spec: loadTimer}, {name: "tick", spec: loadTick}}
	var now strings.Builder
	fmt.Fprintf(&now, sizesHead, kernel)
	verified := map[string]uint32{}
	for _, o := range objects {
		cs, err := o.spec()
		require.NoError(t, err)
		delete(cs.Maps, ".bss")
		cs.Variables = nil
		coll, err := ebpf.NewCollection(cs)
		if err != nil && o.name == "timer" && timerRefused(err) {
			coll = nil // this kernel takes the other object
		} else {
			require.NoError(t, err)
		}
		for _, program := range []string{"ipmp_xdp", "ipmp_ingress", "ipmp_multicast", "ipmp_egress", "ipmp_tick"} {
			key := o.name + " " + program
			n := 0
			for iter := cs.Programs[program].Instructions.Iterate(); iter.Next(); {
				n++
			}
			if coll != nil {
				info, err := coll.Programs[program].Info()
				require.NoError(t, err)
				if v, ok := info.VerifiedInstructions(); ok {
					verified[key] = v
				}
			}
			fmt.Fprintf(&now, "%s %d %d\n", key, n, verified[key])
		}
		if coll != nil {
			coll.Close()
		}
	}
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile("testdata/sizes.txt", []byte(now.String()), 0o644))
		return
	}
	was, is := parseSizes(t, sizes), parseSizes(t, now.String())
	require.Len(t, was, len(is), "UPDATE=1 writes the file anew")
	most := func(v uint32) uint32 { return 4 * v }
	if strings.HasPrefix(sizes, fmt.Sprintf(sizesHead, kernel)) {
		most = func(v uint32) uint32 { return v + v/10 }
	}
	for key, n := range is {
		require.Equal(t, was[key][0], n[0], "%s has another number of instructions; UPDATE=1 writes the file anew", key)
		require.LessOrEqual(t, n[1], most(was[key][1]), "%s: instructions that the verifier walked", key)
	}
}

// parseSizes by object and program.
func parseSizes(t *testing.T, text string) map[string][2]uint32 {
	t.Helper()
	list := map[string][2]uint32{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var object, program string
		var n [2]uint32
		_, err := fmt.Sscanf(line, "%s %s %d %d", &object, &program, &n[0], &n[1])
		require.NoError(t, err, line)
		list[object+" "+program] = n
	}
	return list
}
