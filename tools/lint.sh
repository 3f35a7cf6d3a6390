#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Form and vet of everything in the tree, committed or not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.go' '*.c' '*.h' |
	while IFS= read -r f; do [ ! -e "$f" ] || echo "$f"; done)
go=() c=()
for f in "${files[@]}"; do
	case $f in
	*.go) go+=("$f") ;;
	*) c+=("$f") ;;
	esac
done

unformatted=$(gofmt -l "${go[@]}")
if [ -n "$unformatted" ]; then
	printf 'gofmt would change:\n%s\n' "$unformatted" >&2
	exit 1
fi
[ ${#c[@]} -eq 0 ] || clang-format --dry-run -Werror "${c[@]}"
go vet ./...
go tool staticcheck ./...
echo "lint: clean"
