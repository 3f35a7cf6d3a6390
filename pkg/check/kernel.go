// SPDX-License-Identifier: Apache-2.0

package check

import "strings"

// Known is a question that may not have been answered.
type Known uint8

const (
	Unknown Known = iota
	No
	Yes
)

// KnownIf is the answer to a question that was asked.
func KnownIf(yes bool) Known {
	if yes {
		return Yes
	}
	return No
}

// KernelFacts are what trials have shown, never what a version number promises: distributions
// backport, and leave out.
type KernelFacts struct {
	Release string
	// Programs are accepted by the verifier, ring buffer and all; ProgramsError is why not.
	Programs      Known
	ProgramsError string
	// BTF of the kernel; Timer: bpf_timer is accepted; Carrier: the program that asks for a
	// carrier without RTNL is.
	BTF, Timer, Carrier, TCX Known
	// Resilient nexthop groups; EvictARP and EvictND: the evict_nocarrier sysctls.
	Resilient, EvictARP, EvictND Known
	// Pins: /sys/fs/bpf is a bpffs.
	Pins Known
}

// Kernel is what is missing, and what takes its place.
func Kernel(k KernelFacts) []Finding {
	const about = "kernel"
	var found []Finding
	var has, unasked []string
	ask := func(answer Known, what string, missing func() Finding) {
		switch answer {
		case Yes:
			has = append(has, what)
		case No:
			found = append(found, missing())
		default:
			unasked = append(unasked, what)
		}
	}
	ask(k.Programs, "BPF with ring buffer", func() Finding {
		return failure(about, "it does not take the BPF programs: %s", k.ProgramsError).
			do("use Linux 6.1 or newer with CONFIG_BPF_SYSCALL and CONFIG_DEBUG_INFO_BTF; look for kernel lockdown in its log")
	})
	ask(k.BTF, "BTF", func() Finding {
		return warning(about, "no BTF (/sys/kernel/btf/vmlinux): programs that read kernel structures are refused, and their substitutes used").
			do("use a kernel with CONFIG_DEBUG_INFO_BTF=y")
	})
	ask(k.TCX, "TCX", func() Finding {
		return warning(about, "no TCX: programs are attached by clsact filters instead, which the next daemon replaces in place").
			do("nothing has to be done; TCX comes with Linux 6.6")
	})
	ask(k.Timer, "bpf_timer", func() Finding {
		return warning(about, "no bpf_timer (PREEMPT_RT refuses it): a verdict is confirmed by the next answered round or tick instead, up to one round later").
			do("nothing has to be done")
	})
	ask(k.Carrier, "carrier without RTNL", func() Finding {
		return warning(about, "carriers are asked for by netlink instead of a BPF program: an answer may wait for whoever holds RTNL").
			do("nothing has to be done; the program needs Linux 6.2 and BTF")
	})
	ask(k.Resilient, "resilient nexthop groups", func() Finding {
		return failure(about, "no resilient nexthop groups: routes through the group cannot be moved").
			do("use Linux 6.1 or newer with CONFIG_INET")
	})
	evict := min(k.EvictARP, k.EvictND)
	if k.EvictARP == No || k.EvictND == No {
		evict = No
	}
	ask(evict, "evict_nocarrier", func() Finding {
		return warning(about, "no evict_nocarrier sysctl (%s): carrier loss flushes the member's neighbours, and what is sent meanwhile waits for ARP or ND on the survivor",
			strings.Join(missing(k), ", ")).do("use Linux 5.19 or newer where link loss must cost nothing")
	})
	ask(k.Pins, "bpffs", func() Finding {
		return warning(about, "/sys/fs/bpf is no bpffs: `run` mounts one for itself, and the programs are attached again at its next start").
			do("mount -t bpf bpf /sys/fs/bpf, where the programs should go on working without the daemon")
	})
	if len(has) > 0 {
		found = append([]Finding{ok(about, "Linux %s: %s", k.Release, strings.Join(has, ", "))}, found...)
	}
	if len(unasked) > 0 {
		found = append(found, note(about, "not tried: %s", strings.Join(unasked, ", ")))
	}
	return found
}

func missing(k KernelFacts) (names []string) {
	if k.EvictARP == No {
		names = append(names, "arp")
	}
	if k.EvictND == No {
		names = append(names, "ndisc")
	}
	return names
}
