// SPDX-License-Identifier: Apache-2.0

//go:build !otherlayout

package bpf

import "github.com/cilium/ebpf"

const layoutOffset = 0

func alterLayout(*ebpf.CollectionSpec) {}
