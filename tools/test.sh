#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# test.sh SERIAL...: all tests of the repository, as root. The packages that match SERIAL run one
# after the other, the rest side by side before them. Ends by itself before ten minutes are over.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

limit=570 # seconds for everything
left() { echo $((limit - SECONDS)); }
# go test's own limit prints every goroutine and lets tests tidy up; the outer one is the last word.
run() { timeout --foreground --kill-after=10 "$(left)" go test -count=1 -timeout "$(($(left) - 10))s" "$@"; }

CGO_ENABLED=0 go build -o bin/ipmpd ./cmd/ipmpd
mapfile -t serial < <(go list "$@")
mapfile -t pure < <(go list ./... | grep -vxFf <(printf '%s\n' "${serial[@]}"))

failed=0
run "${pure[@]}" || failed=1
run -p 1 "${serial[@]}" || failed=1
[ $failed = 0 ] || echo "test: FAILED after ${SECONDS} s" >&2
[ $failed = 1 ] || echo "test: passed in ${SECONDS} s"
exit $failed
