# SPDX-License-Identifier: Apache-2.0
# The targets of docs/contract.md section 5. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --match 'v*' 2>/dev/null || echo 0.1.0-dev)
COMMIT  ?= $(shell git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# Network namespaces and BPF want root. Root builds into a cache of its own, or it would leave files
# behind that the user cannot replace.
ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E env PATH="$$PATH" GOCACHE=/var/tmp/ipmpd-go-cache GOFLAGS=-buildvcs=false)

# These make network namespaces, load programs and measure: one package after the other, or they
# would take each other's processors. All others are pure or nearly so.
SERIAL := ./bpf/... ./cmd/... ./test/... ./tools/failbench ./pkg/addr/... ./pkg/detect/probe/... ./pkg/netstate/...

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile

build: ## the static binary, bin/ipmpd
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ipmpd ./cmd/ipmpd

generate: ## compile the BPF programs and their Go bindings again
	@tools/deps.sh generate
	$(GO) generate ./...
	tools/toolchain.sh >bpf/TOOLCHAIN

lint: ## gofmt, clang-format, vet, staticcheck
	@tools/deps.sh lint
	tools/lint.sh

test: ## everything that can be tested on this machine, as root (at most 10 minutes)
	@tools/deps.sh test
	$(ROOT) tools/test.sh $(SERIAL)

demo: build ## pull the cable under traffic and look on; CUTS=N, JSON=1, ATTACH=tcx|xdp
	@tools/deps.sh demo
	@CGO_ENABLED=0 $(GO) build -o bin/demo ./test/demo
	@$(ROOT) bin/demo # what make was given (CUTS=N ...) is in its environment

test-vm: ## the same tests on the kernels of the matrix; KERNEL=6.1|6.12|6.12-rt, ONLY=PACKAGE,..., RUN=REGEXP
	@tools/deps.sh vm
	KERNEL="$(KERNEL)" ONLY="$(ONLY)" RUN="$(RUN)" nice -n 19 $(GO) run ./test/vm

test-vm-smoke: ## of these what a kernel could spoil, as `make ci` runs it; KERNEL=...
	@tools/deps.sh vm
	KERNEL="$(KERNEL)" nice -n 19 $(GO) run ./test/vm smoke

test-managers: ## real systemd-networkd and NetworkManager beside ipmpd, in containers (2 minutes)
	@tools/deps.sh managers
	MANAGERS=1 $(ROOT) $(GO) test -count=1 -v -timeout 300s -run 'Manager|NetworkdKeeps' ./test/scenario

ci: ## what .ci/run runs: generated files compared, lint, the house's rules, make test, long scenarios, other kernels, the gate
	@tools/deps.sh ci
	tools/compare-generated.sh
	$(MAKE) lint
	$(GO) test -count=1 ./test/house
	CI=true $(MAKE) test
	CI=true $(ROOT) tools/test-long.sh
	@if tools/deps.sh vm && $(GO) run ./test/vm fetch; then $(MAKE) test-vm-smoke && $(MAKE) bench-gate; else \
		echo "ci: NOT RUN: other kernels and the gate: QEMU or a kernel is not to be had (STRICT=1 fails)" >&2; [ "$(STRICT)" != 1 ]; fi

# SEEDS and SEED are in its environment. As many minutes as it takes: 20 histories are two or three.
chaos: ## random histories of faults, then a release that leaves nothing; SEEDS=20, SEED=N for one again
	@tools/deps.sh test
	@$(ROOT) env SEEDS="$${SEEDS:-20}" $(GO) test -count=1 -timeout 60m -v -run '^TestReleaseAfterAnyHistory$$' ./test/scenario

# What cannot be installed is a cell that says so, unless STRICT=1.
# The daemon is built without the commit's name: what is finished goes on to count while nothing of the daemon changes.
bench: ## the failover benchmark on this kernel, in out/bench; QUICK=1, ONLY=REGEXP of cells, MINUTES=10, STRICT=1
	@tools/deps.sh bench || [ "$(STRICT)" != 1 ]
	@CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w' -o bin/bench/ipmpd ./cmd/ipmpd
	@CGO_ENABLED=0 $(GO) build -trimpath -o bin/failbench ./tools/failbench
	@IPMPD="$${IPMPD:-bin/bench/ipmpd}" $(ROOT) bin/failbench # what make was given is in its environment

# What cannot be packed is a cell that says so, unless STRICT=1.
bench-vm: ## against bonding and team in an emulated VM, in out/bench/vm; QUICK=1, ONLY=REGEXP of cells, N=FAILURES, STRICT=1
	@tools/deps.sh vm
	@tools/deps.sh bench-vm || [ "$(STRICT)" != 1 ]
	nice -n 19 $(GO) run ./test/vm bench # what make was given is in its environment

bench-gate: ## hold the failover times in the VM to test/vm/baseline.json; RENEW=1 writes it, TWICE=1 shows that a run repeats
	@tools/deps.sh vm
	nice -n 19 $(GO) run ./test/vm gate

# What later issues bring is refused, not pretended.
package: ## deb, rpm, container image (not built yet)
soak: ## days under load (not built yet)
package soak:
	@echo "make: $@ is not built yet" >&2; exit 1

.PHONY: help build generate lint test demo ci bench bench-vm bench-gate test-vm test-vm-smoke test-managers package soak chaos
