#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# test-long.sh: the tests that do not fit into the ten minutes of `make test`, as root: those that begin
# with long(t).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

names=$(grep -h -B1 -E '^\s+long\(t\)$' test/lab/*_test.go test/scenario/*_test.go tools/failbench/*_test.go | sed -n 's/^func \(Test[A-Za-z0-9]*\)(.*/\1/p' | paste -sd '|')
[ -n "$names" ] || { echo "test-long: no test begins with long(t)" >&2; exit 1; }
LONG=1 exec go test -count=1 -timeout 15m -run "^($names)\$" -p 1 ./test/lab ./test/scenario ./tools/failbench
