#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints what the committed BPF objects depend on. `make generate` records it in bpf/TOOLCHAIN.
set -euo pipefail
package() { dpkg-query -W -f '${Package} ${Version}\n' "$1" 2>/dev/null || echo "$1 unknown"; }

clang --version | awk 'NR == 1 { for (i = 1; i < NF; i++) if ($i == "version") print "clang", $(i + 1) }'
llvm-strip --version | awk '{ for (i = 1; i < NF; i++) if ($i == "version") { print "llvm-strip", $(i + 1); exit } }'
# Of the header packages the base version counts; security rebuilds of 6.1 do not touch the UAPI.
for p in libbpf-dev linux-libc-dev; do
	package "$p" | awk '{ split($2, v, "[.-]"); print $1, v[1] "." v[2] }'
done
go list -m github.com/cilium/ebpf
