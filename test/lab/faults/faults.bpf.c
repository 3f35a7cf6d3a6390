//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Drops frames on the switch's side of a cable, by rule, and counts what goes past. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "faults.h"

/* enum tcx_action_base of newer kernel headers */
enum {
	TCX_NEXT = -1,
	TCX_DROP = 2,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} armed SEC(".maps"); /* bit i: rule i is in force. One word, so that a cut is one store */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FAULT_RULES);
	__type(key, __u32);
	__type(value, struct fault_rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FAULT_SLOTS);
	__type(key, __u32);
	__type(value, struct fault_count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct fault_addr);
	__type(value, __u32);
} classes SEC(".maps");

struct frame {
	__u64 now;
	__u32 len;
	__u16 type;
	__u8 direction;
	__u8 announcement;
	__u8 echo;
	__u8 ip;
	__u8 arp;
	__u8 class;
	__u8 mine; /* a probe, an echo reply, or what the interface itself says to its link */
	__u8 pad[3];
};

static __always_inline __u8 class_of(const struct fault_addr *addr)
{
	__u32 *class = bpf_map_lookup_elem(&classes, addr);

	return class ? *class & (FAULT_CLASSES - 1) : FAULT_OTHER;
}

static __always_inline void map_ipv4(struct fault_addr *addr, const __u8 *octets)
{
	__builtin_memset(addr, 0, sizeof(*addr));
	addr->octet[10] = 0xff;
	addr->octet[11] = 0xff;
	__builtin_memcpy(&addr->octet[12], octets, 4);
}

static __always_inline void parse_arp(struct __sk_buff *skb, struct frame *f)
{
	struct fault_addr sender;
	__u8 body[28];

	if (bpf_skb_load_bytes(skb, ETH_HLEN, body, sizeof(body)))
		return;
	map_ipv4(&sender, &body[14]);
	f->arp = 1;
	f->class = class_of(&sender);
	f->announcement = f->class == FAULT_DATA || !__builtin_memcmp(&body[14], &body[24], 4);
}

/* Whether an echo request is a probe of ipmpd's. */
static __always_inline int probe(struct __sk_buff *skb, __u32 icmp)
{
	__u32 magic;

	return !bpf_skb_load_bytes(skb, icmp + 8, &magic, sizeof(magic)) &&
	       magic == bpf_htonl(FAULT_MAGIC);
}

static __always_inline void parse_ipv4(struct __sk_buff *skb, struct frame *f)
{
	struct fault_addr addr;
	__u8 head[20], type;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, head, sizeof(head)))
		return;
	f->ip = 1;
	map_ipv4(&addr, f->direction == FAULT_FROM ? &head[12] : &head[16]);
	f->class = class_of(&addr);
	f->mine = head[9] == IPPROTO_IGMP;
	if (head[9] != IPPROTO_ICMP || (head[6] & 0x1f) || head[7])
		return;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + (head[0] & 0x0f) * 4, &type, 1))
		return;
	f->echo = type == 0 || type == 8;
	f->mine = type == 0 || (type == 8 && probe(skb, ETH_HLEN + (head[0] & 0x0f) * 4));
}

static __always_inline void parse_ipv6(struct __sk_buff *skb, struct frame *f)
{
	struct fault_addr addr;
	__u8 head[40], icmp[5];

	if (bpf_skb_load_bytes(skb, ETH_HLEN, head, sizeof(head)))
		return;
	f->ip = 1;
	__builtin_memcpy(&addr, f->direction == FAULT_FROM ? &head[8] : &head[24], sizeof(addr));
	f->class = class_of(&addr);
	f->mine = head[6] == IPPROTO_HOPOPTS; /* MLD */
	if (head[6] != IPPROTO_ICMPV6 ||
	    bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(head), icmp, sizeof(icmp)))
		return;
	f->echo = icmp[0] == 128 || icmp[0] == 129;
	f->announcement = icmp[0] == 136 && !(icmp[4] & 0x40);
	f->mine = (icmp[0] >= 133 && icmp[0] <= 137) || icmp[0] == 129 ||
		  (icmp[0] == 128 && probe(skb, ETH_HLEN + sizeof(head)));
}

static __always_inline void count(const struct frame *f, __u32 slot)
{
	__u32 key = f->direction * FAULT_DIRECTION + slot;
	struct fault_count *c = bpf_map_lookup_elem(&counts, &key);

	if (!c)
		return;
	if (!__sync_fetch_and_add(&c->packets, 1))
		c->first_ns = f->now;
	__sync_fetch_and_add(&c->bytes, f->len);
	c->last_ns = f->now;
}

static __always_inline int matches(const struct fault_rule *r, const struct frame *f)
{
	if (r->direction != f->direction)
		return 0;
	switch (r->match) {
	case FAULT_ANY:
		return 1;
	case FAULT_ETHERTYPE:
		return r->type == f->type;
	case FAULT_ANNOUNCEMENT:
		return f->announcement;
	case FAULT_ECHO:
		return f->echo;
	case FAULT_CLASS:
		return f->ip && f->class == r->type;
	}
	return 0;
}

/* Generic cell rate: the frame conforms when it comes no earlier than param2 ahead of its time. */
static __always_inline int police(struct fault_rule *r, __u64 now)
{
	for (int i = 0; i < 4; i++) {
		__u64 due = r->state, next = due;

		if ((__s64)(next - now) < 0)
			next = now;
		if (next - now > r->param2)
			return 1;
		if (__sync_val_compare_and_swap(&r->state, due, next + r->param) == due)
			return 0;
	}
	return 1;
}

static __always_inline int drops(struct fault_rule *r, __u64 now)
{
	__u64 nth = __sync_fetch_and_add(&r->matched, 1);

	switch (r->kind) {
	case FAULT_DROP:
		return 1;
	case FAULT_NTH:
		return r->param && nth % r->param == r->param - 1;
	case FAULT_RANDOM:
		return bpf_get_prandom_u32() < r->param;
	case FAULT_POLICE:
		return police(r, now);
	case FAULT_FIRST:
		return nth < r->param;
	case FAULT_BURST:
		__sync_val_compare_and_swap(&r->state, 0, now);
		return now - r->state < r->param;
	}
	return 0;
}

static __always_inline int judge(struct __sk_buff *skb, __u8 direction)
{
	struct frame f = {
		.now = bpf_ktime_get_ns(),
		.len = skb->len,
		.type = bpf_ntohs((__u16)skb->protocol),
		.direction = direction,
	};
	__u32 zero = 0, *mask = bpf_map_lookup_elem(&armed, &zero);
	int verdict = TCX_NEXT;

	if (f.type == ETH_P_ARP)
		parse_arp(skb, &f);
	else if (f.type == ETH_P_IP)
		parse_ipv4(skb, &f);
	else if (f.type == ETH_P_IPV6)
		parse_ipv6(skb, &f);
	if (mask && *mask) {
		for (__u32 i = 0; i < FAULT_RULES; i++) {
			__u32 key = i;
			struct fault_rule *r;

			if (!(*mask & 1U << i))
				continue;
			r = bpf_map_lookup_elem(&rules, &key);
			if (!r || !matches(r, &f) || !drops(r, f.now))
				continue;
			if (!__sync_fetch_and_add(&r->dropped, 1))
				r->first_ns = f.now;
			r->last_ns = f.now;
			verdict = TCX_DROP;
			break;
		}
	}
	if (verdict == TCX_DROP) {
		count(&f, FAULT_DROPPED);
		return verdict;
	}
	count(&f, FAULT_ALL);
	if (f.ip)
		count(&f, FAULT_IP + f.class);
	if (f.arp)
		count(&f, FAULT_ARP + f.class);
	if (f.announcement)
		count(&f, FAULT_ANNOUNCED);
	if (f.echo)
		count(&f, FAULT_ECHOES);
	if (f.ip && f.class == FAULT_TEST && !f.mine)
		count(&f, FAULT_STRAY);
	return verdict;
}

SEC("tcx/ingress")
int fault_from(struct __sk_buff *skb)
{
	return judge(skb, FAULT_FROM);
}

SEC("tcx/egress")
int fault_to(struct __sk_buff *skb)
{
	return judge(skb, FAULT_TO);
}

char _license[] SEC("license") = "Dual BSD/GPL";

/* Names for bpf2go: an enum that no variable has is not in the BTF. */
const enum fault_limit *_limit __attribute__((unused));
const enum fault_direction *_direction __attribute__((unused));
const enum fault_kind *_kind __attribute__((unused));
const enum fault_match *_match __attribute__((unused));
const enum fault_slot *_slot __attribute__((unused));
const enum fault_class *_class __attribute__((unused));
const enum fault_probe *_probe __attribute__((unused));
