// SPDX-License-Identifier: Apache-2.0

package faults

//go:generate go tool bpf2go -target bpfel -cc clang -strip llvm-strip -cflags "-O2 -g -mcpu=v3 -Wall -Wextra -Werror -Wpadded -Wno-unused-parameter -isystem /usr/include/x86_64-linux-gnu" -type fault_limit -type fault_direction -type fault_kind -type fault_match -type fault_rule -type fault_slot -type fault_count -type fault_class -type fault_probe -type fault_addr fault faults.bpf.c
