/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything that comes in on a member, for XDP and tc alike: our replies are taken, ARP requests
 * for addresses of other members are dropped, all else passes unchanged and is counted.
 */
#ifndef IPMP_INGRESS_H
#define IPMP_INGRESS_H

#include "reply.h"

/* Value of map "links". */
enum link_layout {
	LINK_MEMBER_MASK = 0xffff,
	LINK_GROUP_SHIFT = 16,
	LINK_GROUP_MASK = 0xff,
	LINK_BIT_SHIFT = 24,
};

enum ingress_result {
	INGRESS_PASS,
	INGRESS_OURS,	/* consume it */
	INGRESS_FILTER, /* an ARP request that another member answers */
};

/* An echo reply whose ICMP header the cursor is at; offset of the ICMP header is irrelevant. */
static __always_inline bool parse_echo(struct cursor *c, struct reply *reply)
{
	struct ipmp_payload *payload = take(c, sizeof(*payload));

	if (!payload)
		return false;
	reply->kind = IPMP_KIND_ICMP;
	reply->magic = bpf_ntohl(payload->magic);
	reply->round = bpf_ntohl(payload->round);
	reply->nonce = payload->nonce;
	return true;
}

/* Whether the echo identifier is the one that this instance probes with. */
static __always_inline bool our_identifier(__u32 number, __u32 family, __be16 id)
{
	__u32 key = number * IPMP_FAMILIES + family;
	struct ipmp_instance *inst = bpf_map_lookup_elem(&instances, &key);

	return inst && inst->kind == IPMP_KIND_ICMP && inst->icmp_id == id;
}

static __always_inline enum ingress_result ingress_ipv4(struct cursor *c, struct ethhdr *eth,
							struct reply *reply)
{
	struct icmp_frame *icmp;
	struct iphdr *ip = take(c, sizeof(*ip));

	if (!ip) {
		count(IPMP_R_SHORT);
		return INGRESS_PASS;
	}
	if (ip->protocol != IPPROTO_ICMP || ip->version != 4 || ip->ihl != 5 ||
	    ip->frag_off & bpf_htons(IP_FRAGMENT_MASK))
		return INGRESS_PASS;
	icmp = take(c, sizeof(*icmp));
	if (!icmp) {
		count(IPMP_R_SHORT);
		return INGRESS_PASS;
	}
	if (icmp->type != ICMP4_ECHO_REPLY || icmp->code ||
	    !our_identifier(reply->number, IPMP_IPV4, icmp->id))
		return INGRESS_PASS;
	if (!parse_echo(c, reply)) {
		count(IPMP_R_SHORT);
		return INGRESS_PASS;
	}
	addr_from_ipv4(&reply->from, ip->saddr);
	addr_from_ipv4(&reply->to, ip->daddr);
	__builtin_memcpy(reply->to_mac, eth->h_dest, IPMP_MAC);
	reply->family = IPMP_IPV4;
	return ipmp_reply(reply) ? INGRESS_OURS : INGRESS_PASS;
}

/* A neighbour advertisement (RFC 4861 4.4) that may answer one of our solicitations. */
static __always_inline void advertisement(struct cursor *c, struct ethhdr *eth, struct ipv6hdr *ip,
					  struct reply *reply)
{
	struct in6_addr *target = take(c, ND_TARGET_LENGTH);
	__u8 *option;

	if (!target) {
		count(IPMP_R_SHORT);
		return;
	}
	if (ip->hop_limit != ND_HOP_LIMIT)
		return;
	addr_from_ipv6(&reply->from, target);
	/* A solicited answer to a unicast solicitation may leave the option out. */
	option = take(c, 8);
	__builtin_memcpy(reply->from_mac,
			 option && option[0] == ND_TARGET_LINK_LAYER && option[1] == 1
				 ? option + 2
				 : eth->h_source,
			 IPMP_MAC);
	__builtin_memcpy(reply->to_mac, eth->h_dest, IPMP_MAC);
	reply->kind = IPMP_KIND_ARP;
	reply->family = IPMP_IPV6;
	ipmp_reply(reply);
}

static __always_inline enum ingress_result ingress_ipv6(struct cursor *c, struct ethhdr *eth,
							struct reply *reply)
{
	struct icmp_frame *icmp;
	struct ipv6hdr *ip = take(c, sizeof(*ip));

	if (!ip) {
		count(IPMP_R_SHORT);
		return INGRESS_PASS;
	}
	if (ip->nexthdr != IPPROTO_ICMPV6 || ip->version != 6)
		return INGRESS_PASS;
	icmp = take(c, sizeof(*icmp));
	if (!icmp) {
		count(IPMP_R_SHORT);
		return INGRESS_PASS;
	}
	if (icmp->type == ND_ADVERTISEMENT) {
		advertisement(c, eth, ip, reply);
		return INGRESS_PASS; /* the kernel's neighbour table wants it too */
	}
	if (icmp->type != ICMP6_ECHO_REPLY || icmp->code ||
	    !our_identifier(reply->number, IPMP_IPV6, icmp->id))
		return INGRESS_PASS;
	if (!parse_echo(c, reply)) {
		count(IPMP_R_SHORT);
		return INGRESS_PASS;
	}
	addr_from_ipv6(&reply->from, &ip->saddr);
	addr_from_ipv6(&reply->to, &ip->daddr);
	__builtin_memcpy(reply->to_mac, eth->h_dest, IPMP_MAC);
	reply->family = IPMP_IPV6;
	return ipmp_reply(reply) ? INGRESS_OURS : INGRESS_PASS;
}

struct survivor_search {
	struct ipmp_survivors *list;
	__u32 usable;
	__u32 index;
	__u32 found; /* bit + 1 */
	__u32 pad;
};

static long search_survivor(__u32 i, struct survivor_search *s)
{
	__u32 copy = s->index & 1;
	__u32 bit;

	if (i >= s->list->count[copy])
		return 1;
	bit = s->list->order[copy][i & (IPMP_GROUP_MEMBERS - 1)];
	if (!(s->usable & (1U << (bit & 31))))
		return 0;
	s->found = bit + 1;
	return 1;
}

/* The bit, plus one, of the first usable survivor of an instance; 0: none. */
static __always_inline __u32 first_survivor(__u32 instance, __u32 usable)
{
	struct survivor_search s = {.usable = usable};

	s.list = bpf_map_lookup_elem(&survivors, &instance);
	if (!s.list)
		return 0;
	s.index = s.list->index;
	bpf_loop(IPMP_GROUP_MEMBERS, search_survivor, &s, 0);
	return s.found;
}

/*
 * Whether an ARP request is answered by another member: the owner of the address, or, when that is
 * not usable, its first usable survivor. A verdict flips it without any help.
 */
__noinline int ipmp_arp_elsewhere(__u32 number, __u32 address)
{
	struct ipmp_owner *owner = bpf_map_lookup_elem(&owners, &address);
	struct ipmp_member *member;
	struct ipmp_track *track;
	__u32 key, usable, bit;

	if (!owner)
		return 0;
	key = owner->member;
	member = bpf_map_lookup_elem(&members, &key);
	if (!member)
		return 0;
	key = member->group * IPMP_FAMILIES + IPMP_IPV4;
	track = bpf_map_lookup_elem(&tracks, &key);
	if (!track)
		return 0;
	usable = (__u32)track->word;
	if (owner->fixed || usable & (1U << (member->bit & 31)))
		return owner->member != number;
	bit = first_survivor(owner->member * IPMP_FAMILIES + IPMP_IPV4, usable);
	if (!bit)
		return owner->member != number;
	return track->member[(bit - 1) & (IPMP_GROUP_MEMBERS - 1)] != number;
}

/* Whether an interface is in no group: what comes in there is the host's own business. */
static __always_inline bool monitored(__u32 number)
{
	struct ipmp_member *member = bpf_map_lookup_elem(&members, &number);

	return member && member->flags & IPMP_MEMBER_MONITOR;
}

static __always_inline enum ingress_result ingress_arp(struct cursor *c, struct ethhdr *eth,
						       struct reply *reply)
{
	struct arp_frame *arp = take(c, sizeof(*arp));
	__be32 sender, target;

	if (!arp) {
		count(IPMP_R_SHORT);
		return INGRESS_PASS;
	}
	if (arp->hardware != bpf_htons(ARP_ETHERNET) || arp->protocol != bpf_htons(ETH_P_IP) ||
	    arp->hardware_length != IPMP_MAC || arp->protocol_length != 4)
		return INGRESS_PASS;
	__builtin_memcpy(&sender, arp->sender_ip, 4);
	__builtin_memcpy(&target, arp->target_ip, 4);
	if (arp->operation == bpf_htons(ARP_REQUEST)) {
		if (sender == target || !ipmp_arp_elsewhere(reply->number, target) ||
		    monitored(reply->number))
			return INGRESS_PASS;
		count(IPMP_R_ARP_FILTERED);
		return INGRESS_FILTER;
	}
	if (arp->operation != bpf_htons(ARP_REPLY))
		return INGRESS_PASS;
	addr_from_ipv4(&reply->from, sender);
	__builtin_memcpy(reply->from_mac, arp->sender_mac, IPMP_MAC);
	__builtin_memcpy(reply->to_mac, eth->h_dest, IPMP_MAC);
	reply->kind = IPMP_KIND_ARP;
	reply->family = IPMP_IPV4;
	ipmp_reply(reply);
	return INGRESS_PASS;
}

/* What map "links" has for an interface; false: it is no member. */
static __always_inline bool find_link(__u32 ifindex, __u32 *value)
{
	__u32 key = ifindex & IPMP_NEAR_MASK;
	__u64 *near = bpf_map_lookup_elem(&near_links, &key);
	__u64 place = near ? *near : 0;
	__u32 *link;

	if (place >> 32 == ifindex) {
		*value = (__u32)place;
		return true;
	}
	link = bpf_map_lookup_elem(&links, &ifindex);
	if (!link)
		return false;
	*value = *link;
	return true;
}

/* Counts a packet that is not our reply. The clock is read once a jiffy: it tells no more. */
static __always_inline void count_other(struct ipmp_traffic *t)
{
	__u32 jiffies = (__u32)bpf_jiffies64();

	t->other++;
	if (t->other_jiffies == jiffies && t->other_ns)
		return;
	t->other_jiffies = jiffies;
	t->other_ns = bpf_ktime_get_coarse_ns();
}

/* Notes that this CPU has looked at what came in, up to the newest round begun. */
static __always_inline void note_seen(struct ipmp_traffic *t, __u32 group, __be16 proto)
{
	struct ipmp_track *track;
	__u32 key, family;

	if (proto == bpf_htons(ETH_P_IP) || proto == bpf_htons(ETH_P_ARP))
		family = IPMP_IPV4;
	else if (proto == bpf_htons(ETH_P_IPV6))
		family = IPMP_IPV6;
	else
		return;
	key = group * IPMP_FAMILIES + family;
	track = bpf_map_lookup_elem(&tracks, &key);
	if (track)
		t->seen[family] = track->newest;
}

static __always_inline enum ingress_result ingress(void *data, void *end, __u32 ifindex,
						   bool tagged)
{
	enum ingress_result result = INGRESS_PASS;
	struct ipmp_traffic *t;
	struct cursor c = {.pos = data, .end = end};
	struct reply reply = {};
	struct ethhdr *eth;
	__u32 link, number, group;
	__be16 proto = 0;

	if (!find_link(ifindex, &link)) {
		count(IPMP_R_NOT_MEMBER);
		return INGRESS_PASS;
	}
	number = link & LINK_MEMBER_MASK;
	reply.number = number;
	group = link >> LINK_GROUP_SHIFT & LINK_GROUP_MASK;
	eth = parse_ethernet(&c, &proto);
	if (!eth) {
		count(IPMP_R_SHORT);
		return INGRESS_PASS;
	}
	if (tagged)
		proto = bpf_htons(ETH_P_8021Q);
	t = bpf_map_lookup_elem(&traffic, &number);
	if (!t) {
		count(IPMP_R_LOOKUP);
		return INGRESS_PASS;
	}
	/* Before the reply is judged: its own CPU has run. */
	note_seen(t, group, proto);
	if (proto == bpf_htons(ETH_P_IP))
		result = ingress_ipv4(&c, eth, &reply);
	else if (proto == bpf_htons(ETH_P_IPV6))
		result = ingress_ipv6(&c, eth, &reply);
	else if (proto == bpf_htons(ETH_P_ARP))
		result = ingress_arp(&c, eth, &reply);
	if (result != INGRESS_OURS)
		count_other(t);
	return result;
}

#endif
