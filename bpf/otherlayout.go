// SPDX-License-Identifier: Apache-2.0

//go:build otherlayout

package bpf

import "github.com/cilium/ebpf"

// A binary that tests build has another layout, in name and in fact: an upgrade to it, and back, finds
// maps that it cannot use.
const layoutOffset = 1000

func alterLayout(cs *ebpf.CollectionSpec) { cs.Maps["counters"].MaxEntries++ }
