/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Multicast that somebody hears on a member goes on being heard there when the member is not
 * usable: what comes in on its first usable survivor is given to it, as if it had come in there.
 * And what comes in on a member only because we have asked for it there, for the sake of another
 * one, is heard by nobody: a socket hears every group that the host has joined, on whichever
 * interface.
 *
 * A feed changes over between the wires of two members, which may both carry it: the member that
 * fails may go on receiving, and the one that is repaired may receive later than it answers. The
 * new wire is followed from the packet on that the old one brought last; at once when the old one
 * is silent. So nothing is heard twice, and nothing missed that came in at all.
 */
#ifndef IPMP_CAST_H
#define IPMP_CAST_H

#include "ingress.h"

enum cast_limit {
	CAST_SILENT_NS = 1000000, /* a wire is silent when nothing has come for so long */
	CAST_SAME_NS = 10000000,  /* the same packet on two wires comes within this */
	CAST_MARK = 0x1b0d,	  /* tc_index of what was given to a member */
	CAST_HEAD = 16,		  /* bytes behind the IP header that tell packets apart */
};

/* <linux/if_packet.h> has them without a name. */
enum cast_packet {
	TO_GROUP = 2,
	TO_OTHER = 3,
	LOOPED = 5,
};

enum cast_result {
	CAST_PASS,
	CAST_CARRIED, /* it came in on another member, and was dealt with there */
	CAST_LOOPED,  /* what this host has sent, and nobody is to hear */
};

/* The one test that unicast pays for. The kernel has looked at the destination MAC. */
static __always_inline bool may_be_cast(struct __sk_buff *skb)
{
	return skb->pkt_type == TO_GROUP || skb->pkt_type == LOOPED;
}

/* One packet of a feed, on one member. */
struct cast {
	struct __sk_buff *skb;
	struct ipmp_track *track;
	struct ipmp_feed *feed;
	__u64 ns;
	__u64 id;
	__u32 bit; /* of the member that it came in on */
	__u32 usable;
	__u32 family;
	__u32 open; /* members that hear, or heard last, what comes in elsewhere */
};

/* Whether the wire of a member has brought the same packet lately. */
static __always_inline bool cast_same(struct cast *c, struct ipmp_wire *w)
{
	return w->ns && (__s64)(c->ns - w->ns) < CAST_SAME_NS && w->id == c->id;
}

static __always_inline bool cast_silent(struct cast *c, struct ipmp_wire *w)
{
	return !w->ns || (__s64)(c->ns - w->ns) >= CAST_SILENT_NS;
}

static __always_inline void cast_turn(struct ipmp_feed *feed, __u32 mask, bool fed)
{
	if (fed)
		__sync_fetch_and_or(&feed->fed, mask);
	else
		__sync_fetch_and_and(&feed->fed, ~mask);
}

/*
 * Whether a member hears this packet: it came in on the wire that feeds the member, its own or its
 * survivor's. Turns to the wire that is to feed it when the time has come.
 */
static __always_inline bool cast_heard(struct cast *c, __u32 member, __u32 other, bool own)
{
	__u32 mask = 1U << (member & 31);
	struct ipmp_wire *w = &c->feed->wire[other & (IPMP_GROUP_MEMBERS - 1)];
	bool fed = c->feed->fed & mask, wanted = !(c->usable & mask);
	bool feeds = fed != own;

	if (fed == wanted)
		return feeds;
	if (cast_same(c, w)) {
		cast_turn(c->feed, mask, wanted);
		return feeds; /* the other wire has brought it, if this one is the new one */
	}
	if (feeds)
		return true;
	if (!cast_silent(c, w))
		return false;
	cast_turn(c->feed, mask, wanted);
	return true;
}

/* One of the members that hear what comes in elsewhere: is it here? */
static long cast_to(__u32 i, struct cast *c)
{
	struct __sk_buff *skb = c->skb;
	struct ipmp_member *to;
	__u32 key, number;

	if (!(c->open & 1U << (i & 31)) || i == c->bit)
		return 0;
	number = c->track->member[i & (IPMP_GROUP_MEMBERS - 1)];
	if (first_survivor(number * IPMP_FAMILIES + c->family, c->usable & ~(1U << (i & 31))) !=
	    c->bit + 1)
		return 0;
	if (!cast_heard(c, i, i, false))
		return 0;
	key = number;
	to = bpf_map_lookup_elem(&members, &key);
	if (!to || !to->ifindex)
		return 0;
	skb->tc_index = CAST_MARK;
	if (bpf_clone_redirect(skb, to->ifindex, BPF_F_INGRESS))
		count(IPMP_R_CAST_REFUSED);
	else
		count(IPMP_R_CAST_CARRIED);
	skb->tc_index = 0;
	return 0;
}

/* What tells packets of one sender apart, where there is anything: IP identification, ports,
 * length, checksum and the first bytes that they carry.
 */
static __always_inline __u64 cast_id(struct __sk_buff *skb, __u32 offset, __u64 id)
{
	__u64 head[CAST_HEAD / 8] = {};

	/* Of a short one what there is; no variable length, of which 6.1 cannot tell that it is not
	 * 0. */
	if (bpf_skb_load_bytes(skb, offset, head, CAST_HEAD) &&
	    bpf_skb_load_bytes(skb, offset, head, CAST_HEAD - 4))
		bpf_skb_load_bytes(skb, offset, head, CAST_HEAD - 8);
	return (id * 31 + head[0]) * 31 + head[1];
}

/* The group that a packet is for. Returns where its payload begins; 0: it is not multicast, or
 * speaks for one link only.
 */
static __always_inline __u32 cast_group(struct __sk_buff *skb, __u32 offset, struct ipmp_cast *to,
					struct cast *c)
{
	union {
		struct iphdr ip;
		struct ipv6hdr ip6;
	} h;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, offset, &h.ip, sizeof(h.ip)))
			return 0;
		/* 224.0.0.0/4 */
		if ((h.ip.daddr & bpf_htonl(0xf0000000)) != bpf_htonl(0xe0000000) ||
		    h.ip.protocol == IPPROTO_IGMP)
			return 0;
		addr_from_ipv4(&to->addr, h.ip.daddr);
		c->family = IPMP_IPV4;
		c->id = (__u64)h.ip.saddr << 32 | (__u32)h.ip.id << 16 | h.ip.frag_off;
		return offset + h.ip.ihl * 4;
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes(skb, offset, &h.ip6, sizeof(h.ip6)))
			return 0;
		/* MLD always has a router alert in front. */
		if (h.ip6.daddr.in6_u.u6_addr8[0] != 0xff || h.ip6.nexthdr == IPPROTO_HOPOPTS)
			return 0;
		addr_from_ipv6(&to->addr, &h.ip6.daddr);
		c->family = IPMP_IPV6;
		c->id = (__u64)h.ip6.saddr.in6_u.u6_addr32[3] << 32 | h.ip6.payload_len;
		return offset + sizeof(h.ip6);
	}
	return 0;
}

static __noinline enum cast_result cast(struct __sk_buff *skb)
{
	struct cast c = {.skb = skb};
	struct ipmp_cast to = {};
	__u32 ifindex = skb->ifindex, payload, mask;
	bool looped = skb->pkt_type == LOOPED, heard;
	__u32 *link, *index, key;

	if (skb->tc_index == CAST_MARK) {
		skb->tc_index = 0;
		return CAST_CARRIED;
	}
	if (skb->vlan_present && skb->vlan_tci & VLAN_ID_MASK)
		return CAST_PASS;
	/* What is looped back has no Ethernet header yet. */
	payload = cast_group(skb, looped ? 0 : ETH_HLEN, &to, &c);
	if (!payload)
		return CAST_PASS;
	link = bpf_map_lookup_elem(&links, &ifindex);
	if (!link)
		return CAST_PASS;
	to.group = *link >> LINK_GROUP_SHIFT & LINK_GROUP_MASK;
	index = bpf_map_lookup_elem(&casts, &to);
	if (!index)
		return CAST_PASS;
	c.feed = bpf_map_lookup_elem(&feeds, index);
	key = to.group * IPMP_FAMILIES + c.family;
	c.track = bpf_map_lookup_elem(&tracks, &key);
	if (!c.feed || !c.track) {
		count(IPMP_R_LOOKUP);
		return CAST_PASS;
	}
	c.bit = *link >> LINK_BIT_SHIFT & 31;
	mask = 1U << c.bit;
	heard = !(c.feed->asked & mask);
	if (c.feed->joined & mask)
		heard = true;
	if (!heard && (__s64)(c.track->lease_ns - bpf_ktime_get_coarse_ns()) < 0)
		heard = true; /* who has asked is gone, and with him what he asked for */
	if (looped)
		return heard ? CAST_PASS : CAST_LOOPED;
	c.usable = (__u32)c.track->word;
	c.open = (~c.usable | c.feed->fed) & c.feed->joined;
	if (c.open) {
		c.id = cast_id(skb, payload, c.id);
		c.ns = bpf_ktime_get_ns();
		if (c.open & mask) {
			key = c.track->member[c.bit & (IPMP_GROUP_MEMBERS - 1)];
			key = first_survivor(key * IPMP_FAMILIES + c.family, c.usable & ~mask);
			if (key)
				heard = cast_heard(&c, c.bit, key - 1, true);
			else
				cast_turn(c.feed, mask, false);
		}
		c.feed->wire[c.bit & (IPMP_GROUP_MEMBERS - 1)].id = c.id;
		c.feed->wire[c.bit & (IPMP_GROUP_MEMBERS - 1)].ns = c.ns;
		bpf_loop(IPMP_GROUP_MEMBERS, cast_to, &c, 0);
	}
	if (heard)
		return CAST_PASS;
	count(IPMP_R_CAST_HIDDEN);
	/* The IP stack has no eyes for it; what stands on the member, like a macvlan, has. */
	bpf_skb_change_type(skb, TO_OTHER);
	return CAST_PASS;
}

#endif
