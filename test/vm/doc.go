// SPDX-License-Identifier: Apache-2.0

// Command vm runs the tests that need root on the kernels of the matrix, each in an emulated
// machine of its own (QEMU without KVM), and the failover benchmark beside bonding and team:
//
//	KERNEL=6.12-rt [ONLY=bpf,test/scenario] [RUN=REGEXP] go run ./test/vm
//	go run ./test/vm smoke          the part of it that `make ci` has time for
//	go run ./test/vm bench          tools/failbench in one guest
//	go run ./test/vm gate           a small cell of that against baseline.json
//	go run ./test/vm exec PROGRAM   any static program
//
//	apt-get download ──► cache: vmlinuz, modules ─┐
//	go test -c ./bpf …, go build ./cmd/ipmpd ─────┼─► initramfs ──► qemu ──► second serial port
//	ip and its libraries, of this machine ────────┘    package guest is its /init     │
//	                                                                                  ▼
//	a test that this kernel cannot run says what it needs ◄── names and counts ── report
//
// The guest's clock counts instructions (detection.md section 8): a second of it is 10^9 of them,
// however busy this machine is. A kernel passes when each test that was asked for is there with
// PASS, or with SKIP and the kernel version that it needs, and when the kernel's log has neither
// WARN nor BUG. Packages are kept in VMCACHE (default /var/tmp/ipmpd-vm), output in out/vm.
package main
