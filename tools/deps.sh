#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# deps.sh PURPOSE...: install what is missing for test, demo, bench, vm, bench-vm, managers, lint, generate or ci. With
# everything in place it neither needs root nor a network.
set -euo pipefail

# want FILE-OR-COMMAND PACKAGE: note the package when the thing is not here.
missing=()
want() {
	case $1 in
	/*) [ -e "$1" ] || missing+=("$2") ;;
	*) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || missing+=("$2") ;;
	esac
}

for purpose in "$@"; do
	case $purpose in
	demo | test)
		want ip iproute2
		[ "$purpose" = demo ] || want nft nftables
		;;
	bench)
		want ip iproute2
		want iperf3 iperf3
		before=${#missing[@]}
		want keepalived keepalived
		want bird bird2
		want /usr/lib/frr/bfdd frr
		# Their packages start them at once where systemd is process 1, on this host's interfaces. The
		# benchmark does without: their cells say `not run`.
		if [ "${#missing[@]}" -gt "$before" ] && [ -d /run/systemd/system ]; then
			echo "deps.sh: ${missing[*]:before} not installed, as they would be started on this host; install and disable them by hand, or use a container" >&2
			missing=("${missing[@]:0:before}")
		fi
		;;
	vm)
		want ip iproute2
		want qemu-system-x86_64 qemu-system-x86
		want busybox busybox-static
		want xz xz-utils
		;;
	bench-vm)
		want teamd libteam-utils
		want iperf3 iperf3
		;;
	managers)
		want ip iproute2
		want dbus-daemon dbus-daemon
		want /lib/systemd/systemd-networkd systemd
		# Its package starts it at once where systemd is process 1, and it would take this host's interfaces.
		if [ -d /run/systemd/system ] && ! command -v nmcli >/dev/null; then
			echo "deps.sh: installing network-manager would start it on this host; use a container or another machine" >&2
			exit 1
		fi
		want nmcli network-manager
		;;
	lint)
		want clang-format clang-format
		want git git
		;;
	generate)
		want clang clang
		want llvm-strip llvm
		want /usr/include/bpf/bpf_helpers.h libbpf-dev
		want /usr/include/linux/bpf.h linux-libc-dev
		;;
	ci)
		exec "$0" generate lint demo test vm
		;;
	*)
		echo "deps.sh: unknown purpose $purpose; use test, demo, bench, vm, bench-vm, managers, lint, generate or ci" >&2
		exit 2
		;;
	esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "deps.sh: ${missing[*]} missing and no apt-get here; install them by hand" >&2
	exit 1
fi
root=()
[ "$(id -u)" = 0 ] || root=(sudo)
echo "installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
# The package lists may be old or absent: fetch them only when the first try fails.
if ! install >"$log" 2>&1 && ! { "${root[@]}" apt-get update -qq && install; } >>"$log" 2>&1; then
	cat "$log" >&2
	echo "deps.sh: cannot install ${missing[*]}; install them by hand" >&2
	exit 1
fi
