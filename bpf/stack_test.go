// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"
)

// TestStackFits: the verifier allows 512 bytes of stack for a chain of calls, each frame rounded up
// to 32 (6.1; newer kernels to less), which only an old kernel would tell. Timers' callbacks begin a
// chain of their own.
func TestStackFits(t *testing.T) {
	for name, load := range map[string]func() (*ebpf.CollectionSpec, error){"timer": loadTimer, "tick": loadTick} {
		cs, err := load()
		require.NoError(t, err)
		for program, spec := range cs.Programs {
			depth, calls := map[string]int{}, map[string][]string{}
			function := program
			for _, ins := range spec.Instructions {
				if s := ins.Symbol(); s != "" {
					function = s
				}
				depth[function] = max(depth[function], used(ins))
				if ref := ins.Reference(); ref != "" && (ins.IsFunctionCall() || ins.IsLoadOfFunctionPointer()) && ref != "confirm_timer" {
					calls[function] = append(calls[function], ref)
				}
			}
			var deepest func(function string) int
			deepest = func(function string) int {
				most := 0
				for _, c := range calls[function] {
					most = max(most, deepest(c))
				}
				return (max(depth[function], 1)+31)/32*32 + most
			}
			first := spec.Instructions[0].Symbol()
			require.LessOrEqual(t, deepest(first), 512, "%s of the object with %s", program, name)
			require.Greater(t, deepest(first), 32, "%s of the object with %s: no chain was found", program, name)
		}
	}
}

// used is how far below the frame pointer an instruction reaches.
func used(ins asm.Instruction) int {
	below := 0
	if class := ins.OpCode.Class(); class.IsLoad() && ins.Src == asm.RFP || class.IsStore() && ins.Dst == asm.RFP {
		below = -int(ins.Offset)
	}
	// r = r10; r += -n
	if ins.OpCode.Class().IsALU() && ins.OpCode.ALUOp() == asm.Add && ins.OpCode.Source() == asm.ImmSource && ins.Constant < 0 && ins.Constant > -512 {
		below = -int(ins.Constant)
	}
	return max(below, 0)
}
