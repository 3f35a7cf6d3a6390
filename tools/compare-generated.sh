#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Generates everything again in a copy of the tree and compares: what is committed is what the
# sources give with the recorded toolchain.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# As the tree stands, with files that are not committed yet, without what git ignores or misses.
git ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
	tar --null -T - -cf - | tar -xf - -C "$copy"
make -C "$copy" --no-print-directory generate >/dev/null

if ! diff -u bpf/TOOLCHAIN "$copy/bpf/TOOLCHAIN"; then
	echo "compare-generated.sh: this is not the toolchain of bpf/TOOLCHAIN; install it, or run \`make generate\` and commit" >&2
	exit 1
fi
stale=$(cd "$copy" && find . -type f -not -path './.git/*' | while read -r f; do
	cmp -s "$f" "$OLDPWD/$f" || echo "${f#./}"
done)
if [ -n "$stale" ]; then
	echo "compare-generated.sh: not what the sources give; run \`make generate\` and commit:" >&2
	echo "$stale" >&2
	exit 1
fi
echo "generated files are what their sources give"
