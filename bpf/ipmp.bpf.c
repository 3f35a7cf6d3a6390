//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The entry points. They share one implementation; this file is compiled twice, with the two
 * makers of a confirmation: IPMP_TIMER (bpf_timer) and without (PREEMPT_RT kernels).
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "maps.h"
#ifdef IPMP_TIMER
#include "confirm_timer.h"
#else
#include "confirm_tick.h"
#endif
#include "cast.h"
#include "egress.h"

enum linear {
	/* Ethernet with a priority tag, IPv6, a neighbour advertisement and its first option */
	LINEAR_NEEDED = 90,
};

SEC("xdp.frags")
int ipmp_xdp(struct xdp_md *xdp)
{
	enum ingress_result result = ingress((void *)(long)xdp->data, (void *)(long)xdp->data_end,
					     xdp->ingress_ifindex, false);

	return result == INGRESS_PASS ? XDP_PASS : XDP_DROP;
}

/*
 * Only what may be ours is made linear: some drivers leave headers in fragments. Bulk data mostly
 * has nothing but its headers in the linear part, and pulling more would copy its clones' headers
 * too.
 */
static __always_inline bool worth_pulling(struct __sk_buff *skb)
{
	struct cursor c = {.pos = (void *)(long)skb->data, .end = (void *)(long)skb->data_end};
	struct ipv6hdr *ip6;
	struct iphdr *ip;
	__be16 proto = 0;

	if (!parse_ethernet(&c, &proto))
		return true;
	if (proto == bpf_htons(ETH_P_IP)) {
		ip = take(&c, sizeof(*ip));
		return !ip || ip->protocol == IPPROTO_ICMP;
	}
	if (proto == bpf_htons(ETH_P_IPV6)) {
		ip6 = take(&c, sizeof(*ip6));
		return !ip6 || ip6->nexthdr == IPPROTO_ICMPV6;
	}
	return proto == bpf_htons(ETH_P_ARP);
}

SEC("tc")
int ipmp_ingress(struct __sk_buff *skb)
{
	bool tagged = skb->vlan_present && skb->vlan_tci & VLAN_ID_MASK;
	enum ingress_result result;

	if (may_be_cast(skb)) {
		switch (cast(skb)) {
		case CAST_CARRIED: /* counted where it came in */
			return TC_ACT_UNSPEC;
		case CAST_LOOPED:
			return TC_ACT_SHOT;
		case CAST_PASS:
			break;
		}
	}
	if (skb->data_end - skb->data < LINEAR_NEEDED && skb->len > skb->data_end - skb->data &&
	    worth_pulling(skb) &&
	    bpf_skb_pull_data(skb, skb->len < LINEAR_NEEDED ? skb->len : LINEAR_NEEDED))
		count(IPMP_R_PULL);
	result =
		ingress((void *)(long)skb->data, (void *)(long)skb->data_end, skb->ifindex, tagged);
	/* UNSPEC: the next program, or the stack (TCX_NEXT has the same value) */
	return result == INGRESS_PASS ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

/* Multicast, beside XDP, which cannot give a packet to another member. */
SEC("tc")
int ipmp_multicast(struct __sk_buff *skb)
{
	if (may_be_cast(skb) && cast(skb) == CAST_LOOPED)
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

SEC("tc")
int ipmp_egress(struct __sk_buff *skb)
{
	return egress(skb);
}

/*
 * Confirms a suspicion from user space, by PROG_TEST_RUN: the number of the instance is in
 * skb->mark. For kernels without timers, at the prober's tick.
 */
SEC("tc")
int ipmp_tick(struct __sk_buff *skb)
{
	ipmp_confirm(skb->mark);
	confirm_anchor(skb->mark >= IPMP_INSTANCES);
	return 0;
}

/* Types that no map names reach BTF, and so Go, by a pointer to them; the loader drops the map. */
const struct ipmp_event *export_event __attribute__((unused));
const struct ipmp_payload *export_payload __attribute__((unused));
const enum ipmp_layout *export_layout __attribute__((unused));
const enum ipmp_limit *export_limit __attribute__((unused));
const enum ipmp_family *export_family __attribute__((unused));
const enum ipmp_kind *export_kind __attribute__((unused));
const enum ipmp_instance_flag *export_instance_flag __attribute__((unused));
const enum ipmp_member_flag *export_member_flag __attribute__((unused));
const enum ipmp_stage *export_stage __attribute__((unused));
const enum ipmp_probe *export_probe __attribute__((unused));
const enum ipmp_event_kind *export_event_kind __attribute__((unused));
const enum ipmp_reason *export_reason __attribute__((unused));

char _license[] SEC("license") = "Dual BSD/GPL";
