// SPDX-License-Identifier: Apache-2.0

package check

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKernel(t *testing.T) {
	all := KernelFacts{Release: "6.18.0", Programs: Yes, BTF: Yes, Timer: Yes, Carrier: Yes, TCX: Yes,
		Resilient: Yes, EvictARP: Yes, EvictND: Yes, Pins: Yes}
	const whole = "ok kernel: Linux 6.18.0: BPF with ring buffer, BTF, TCX, bpf_timer, carrier without RTNL, resilient nexthop groups, evict_nocarrier, bpffs"
	for _, row := range []struct {
		name string
		but  func(*KernelFacts)
		want string
	}{
		{"everything", func(*KernelFacts) {}, whole},
		{"before 6.6", func(k *KernelFacts) { k.TCX = No },
			"warning kernel: no TCX: programs are attached by clsact filters instead, which the next daemon replaces in place"},
		{"PREEMPT_RT", func(k *KernelFacts) { k.Timer = No },
			"warning kernel: no bpf_timer (PREEMPT_RT refuses it): a verdict is confirmed by the next answered round or tick instead, up to one round later"},
		{"before 6.2", func(k *KernelFacts) { k.Carrier = No },
			"warning kernel: carriers are asked for by netlink instead of a BPF program: an answer may wait for whoever holds RTNL"},
		{"one sysctl", func(k *KernelFacts) { k.EvictND = No },
			"warning kernel: no evict_nocarrier sysctl (ndisc): carrier loss flushes the member's neighbours, and what is sent meanwhile waits for ARP or ND on the survivor"},
		{"no bpffs", func(k *KernelFacts) { k.Pins = No },
			"warning kernel: /sys/fs/bpf is no bpffs: `run` mounts one for itself, and the programs are attached again at its next start"},
		{"no BTF", func(k *KernelFacts) { k.BTF = No },
			"warning kernel: no BTF (/sys/kernel/btf/vmlinux): programs that read kernel structures are refused, and their substitutes used"},
		{"no BPF", func(k *KernelFacts) {
			k.Programs, k.ProgramsError, k.Timer, k.Carrier = No, "load: why", Unknown, Unknown
		},
			"error kernel: it does not take the BPF programs: load: why\nnote kernel: not tried: bpf_timer, carrier without RTNL"},
		{"old nexthops", func(k *KernelFacts) { k.Resilient = No },
			"error kernel: no resilient nexthop groups: routes through the group cannot be moved"},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := all
			row.but(&k)
			found := Kernel(k)
			require.Equal(t, OK, found[0].Level)
			if row.want == whole {
				require.Equal(t, whole, lines(t, found))
			} else {
				require.Equal(t, row.want, lines(t, found[1:]))
			}
		})
	}
	require.Equal(t, "note kernel: not tried: BPF with ring buffer, BTF, TCX, bpf_timer, "+
		"carrier without RTNL, resilient nexthop groups, evict_nocarrier, bpffs", lines(t, Kernel(KernelFacts{})))
}

func TestRights(t *testing.T) {
	require.Equal(t, text(
		"ok rights: CAP_NET_ADMIN",
		"error rights: no CAP_NET_RAW (probes), CAP_BPF (BPF programs): `run` ends at once",
		"warning rights: no CAP_SYS_NICE: late"),
		lines(t, Rights([]Right{{"CAP_NET_ADMIN", true, true, "addresses"}, {"CAP_NET_RAW", false, true, "probes"}, {"CAP_BPF", false, true, "BPF programs"}, {"CAP_SYS_NICE", false, false, "late"}})))
}

func TestRealtime(t *testing.T) {
	good := RealtimeFacts{Priority: 50, Nice: true, Runtime: 950 * time.Millisecond, Period: time.Second, Known: true}
	for _, row := range []struct {
		name string
		but  func(*RealtimeFacts)
		want string
	}{
		{"as Linux comes", func(*RealtimeFacts) {}, "ok real time: SCHED_FIFO 50 is permitted"},
		{"on CPUs", func(r *RealtimeFacts) { r.CPUs = []int{2, 3} }, "ok real time: SCHED_FIFO 50 is permitted, on CPUs [2 3]"},
		{"off", func(r *RealtimeFacts) { r.Priority = 0 },
			"note real time: switched off in the file (realtime.priority: 0): other people's load makes detection late"},
		{"pinned only", func(r *RealtimeFacts) { r.Priority, r.CPUs = 0, []int{1} },
			"ok real time: ordinary scheduling, as the file says, on CPUs [1]"},
		{"refused", func(r *RealtimeFacts) {
			r.Nice, r.Refused = false, []string{"set SCHED_FIFO priority 50: operation not permitted"}
		},
			"warning real time: set SCHED_FIFO priority 50: operation not permitted: detection is late under load"},
		{"no throttling", func(r *RealtimeFacts) { r.Runtime = -time.Microsecond }, "ok real time: SCHED_FIFO 50 is permitted"},
		{"no time at all", func(r *RealtimeFacts) { r.Runtime = 0 }, "ok real time: SCHED_FIFO 50 is permitted\n" +
			"warning real time: kernel.sched_rt_runtime_us is 0: real-time threads get no CPU time"},
		{"little", func(r *RealtimeFacts) { r.Runtime = 100 * time.Millisecond }, "ok real time: SCHED_FIFO 50 is permitted\n" +
			"warning real time: kernel.sched_rt_runtime_us gives real-time threads 10 % of the time: rounds stop for the rest of it, and no failure is seen meanwhile"},
		{"unknown", func(r *RealtimeFacts) { r.Runtime, r.Known = 0, false }, "ok real time: SCHED_FIFO 50 is permitted"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := good
			row.but(&r)
			require.Equal(t, row.want, lines(t, Realtime(r)))
		})
	}
	refused := RealtimeFacts{Priority: 50, Limit: 7, Refused: []string{"why"}}
	require.Equal(t, []string{"give it CAP_SYS_NICE, or LimitRTPRIO=50 in its unit (now 7)"}, Realtime(refused)[0].Advice)
	refused.Nice = true
	require.Contains(t, Realtime(refused)[0].Advice[0], "cpu.rt_runtime_us")
}

func TestDrivers(t *testing.T) {
	for _, row := range []struct {
		d    Driver
		want string
	}{
		{Driver{Name: "veth", Attach: "auto", TCX: Yes}, "ok hme0: driver veth, attaches by tcx"},
		{Driver{Name: "igb", Attach: "auto", TCX: No}, "ok hme0: driver igb, attaches by clsact"},
		{Driver{Attach: "auto", XDPByOther: "x"}, "ok hme0: driver of an unknown name, attaches by tcx, or by clsact before Linux 6.6"},
		{Driver{Name: "igb", Attach: "tcx", TCX: Yes}, "ok hme0: driver igb, attaches by tcx"},
		{Driver{Name: "igb", Attach: "tcx", TCX: No}, "error hme0: `attach: tcx`, but this kernel has no TCX; only its link would be watched"},
		{Driver{Name: "veth", Attach: "xdp"}, "warning hme0: driver veth, `attach: xdp`: TCP through it falls from 25 to 4 - 5 Gbit/s"},
		{Driver{Name: "ixgbe", Attach: "xdp"}, "warning hme0: driver ixgbe, `attach: xdp`: attaching takes the link down for up to 20 s, detaching too"},
		{Driver{Name: "mlx5_core", Attach: "xdp"}, "warning hme0: driver mlx5_core, `attach: xdp`: detaching resets the link"},
		{Driver{Name: "virtio_net", Attach: "xdp"}, "warning hme0: driver virtio_net, `attach: xdp`: attaching switches off guest offloads (LRO, GRO_HW)"},
		{Driver{Name: "i40e", Attach: "xdp"}, "warning hme0: driver i40e, `attach: xdp`: what it costs here is not known"},
		{Driver{Name: "igb", Attach: "xdp-generic"}, "warning hme0: driver igb, `attach: xdp-generic`: every packet is made linear and copied where needed before it is looked at"},
		{Driver{Name: "mlx5_core", Attach: "xdp", XDPByOther: "lb (program 7)"}, "warning hme0: driver mlx5_core, `attach: xdp`: detaching resets the link\n" +
			"error hme0: XDP is taken by lb (program 7): ours cannot be attached, and only the link would be watched"},
	} {
		row.d.Member = "hme0"
		require.Equal(t, row.want, lines(t, Drivers([]Driver{row.d})))
	}
}

func TestSysctls(t *testing.T) {
	const why = "ARP requests would name addresses of other members"
	require.Equal(t, text(
		"note sysctl: `run` sets net/ipv4/fib_multipath_hash_policy 0 -> 1: else flows",
		"note sysctl: `run` sets net/ipv4/conf/{hme0,vlan.7}/arp_announce 0 -> 2: else "+why,
		"note sysctl: `run` sets net/ipv4/conf/hme1/arp_announce 1 -> 2: else "+why,
	), lines(t, Sysctls([]Sysctl{
		{"", "net/ipv4/fib_multipath_hash_policy", "0", "1", "flows"},
		{"hme0", "net/ipv4/conf/hme0/arp_announce", "0", "2", why},
		{"hme1", "net/ipv4/conf/hme1/arp_announce", "1", "2", why},
		{"vlan.7", "net/ipv4/conf/vlan.7/arp_announce", "0", "2", why},
	})))
}

func TestAll(t *testing.T) {
	a := AllFacts{Members: []string{"hme0", "hme1"}, Values: map[string]int{
		"net/ipv4/conf/all/rp_filter": 1, "net/ipv4/conf/all/arp_ignore": 0, "net/ipv4/conf/hme0/arp_ignore": 0, "net/ipv4/conf/hme1/arp_ignore": 1,
		"net/ipv6/conf/all/keep_addr_on_down": -1, "net/ipv6/conf/hme0/disable_ipv6": 1, "net/ipv6/conf/hme1/disable_ipv6": 0}}
	const down = "warning sysctl: net/ipv6/conf/all/keep_addr_on_down is -1, which overrides members: `ip link set down` deletes their IPv6 addresses"
	const ignored = "warning sysctl: arp_ignore is set for hme1: from a verdict until the address has moved (for ever, if the daemon dies in between) nobody answers ARP for it"
	require.Equal(t, text(down, ignored), lines(t, All(a)))
	a.Bare, a.IPv6 = []string{"hme1"}, a.Members
	require.Equal(t, text(
		"warning sysctl: net/ipv4/conf/all/rp_filter is 1: hme1, without an IPv4 address of its own, drops what arrives for the group, and nothing that is set on it helps",
		down, ignored,
		"warning sysctl: net/ipv6/conf/hme0/disable_ipv6 is 1: the group's IPv6 addresses cannot be put there"), lines(t, All(a)))
	require.Empty(t, All(AllFacts{Bare: []string{"hme1"}, IPv6: []string{"hme0"}, Members: []string{"hme0"}}), "nothing known, nothing said")
}

func TestLinks(t *testing.T) {
	same := [6]byte{2, 0, 0, 0, 0, 1}
	require.Equal(t, text(
		"warning hme1: has the MAC of hme0, 02:00:00:00:00:01: `run` keeps one of the two out of service, as the switch sends to whichever it heard last",
		"note hme1: foreign address 192.0.2.98/24, 192.0.2.99/24: it does not move, and is never touched",
		"note hme1: foreign program tcx ingress other (program 7): it stays, and sees only packets of its own member",
		"warning hme2: has the MAC of hme0, 02:00:00:00:00:01: `run` keeps one of the two out of service, as the switch sends to whichever it heard last",
	), lines(t, Links([]Link{
		{Name: "hme0", Group: "a", MAC: same},
		{Name: "hme1", Group: "a", MAC: same, Foreign: []string{"192.0.2.98/24", "192.0.2.99/24"}, Programs: []string{"tcx ingress other (program 7)"}},
		{Name: "vlan7", Group: "b", MAC: same}, // other groups are other networks
		{Name: "hme2", Group: "a", MAC: same},  // said once
		{Name: "tun0", Group: "a"}, {Name: "tun1", Group: "a"},
	})))
}
