/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The egress switch: what a member that is not usable would send leaves by the first usable one of
 * its survivors. Only what may move is moved: untagged IPv4 and IPv6 with the member's own MAC, but
 * not test or link-local sources, neighbour discovery, group membership, DHCP and PTP. ARP in
 * particular stays: a redirected request would move the peer's entry back to the dead MAC.
 */
#ifndef IPMP_EGRESS_H
#define IPMP_EGRESS_H

#include "ingress.h"

enum egress_limit {
	EGRESS_PULL = 128, /* bytes of headers that must be linear to be judged */
};

enum egress_port {
	PORT_DHCP_SERVER = 67,
	PORT_DHCP_CLIENT = 68,
	PORT_PTP_EVENT = 319,
	PORT_PTP_GENERAL = 320,
	PORT_DHCPV6_CLIENT = 546,
	PORT_DHCPV6_SERVER = 547,
};

/* Message types of ICMPv6 that speak for one link only. */
enum egress_icmpv6 {
	MLD_QUERY = 130,
	MLD_DONE = 132,
	ND_FIRST = 133,
	ND_LAST = 137,
	MLD2_REPORT = 143,
};

static __always_inline bool local_port(__be16 port)
{
	switch (bpf_ntohs(port)) {
	case PORT_DHCP_SERVER:
	case PORT_DHCP_CLIENT:
	case PORT_PTP_EVENT:
	case PORT_PTP_GENERAL:
	case PORT_DHCPV6_CLIENT:
	case PORT_DHCPV6_SERVER:
		return true;
	}
	return false;
}

static __always_inline bool stays_udp(struct cursor *c)
{
	struct udphdr *udp = take(c, sizeof(*udp));

	return !udp || local_port(udp->dest) || local_port(udp->source);
}

static __always_inline bool is_test(struct ipmp_member *member, __u32 family,
				    const struct ipmp_addr *addr)
{
	for (int i = 0; i < IPMP_TESTS; i++)
		if (i < member->tests[family] && same_addr(&member->test[family][i], addr))
			return true;
	return false;
}

/* Whether an IPv4 packet stays on its member. */
static __always_inline bool stays_ipv4(struct cursor *c, struct ipmp_member *member)
{
	struct iphdr *ip = parse_ipv4(c);
	struct ipmp_addr source;

	if (!ip)
		return true;
	addr_from_ipv4(&source, ip->saddr);
	if (is_test(member, IPMP_IPV4, &source))
		return true;
	/* 169.254.0.0/16, RFC 3927 */
	if ((ip->saddr & bpf_htonl(0xffff0000)) == bpf_htonl(0xa9fe0000))
		return true;
	if (ip->protocol == IPPROTO_IGMP)
		return true;
	if (ip->protocol == IPPROTO_UDP && !(ip->frag_off & bpf_htons(IP_OFFSET_MASK)))
		return stays_udp(c);
	return false;
}

/* Whether an IPv6 packet stays on its member. */
static __always_inline bool stays_ipv6(struct cursor *c, struct ipmp_member *member)
{
	struct ipv6hdr *ip = parse_ipv6(c);
	struct icmp_frame *icmp;
	struct ipmp_addr source;
	int proto;

	if (!ip)
		return true;
	addr_from_ipv6(&source, &ip->saddr);
	if (is_test(member, IPMP_IPV6, &source))
		return true;
	/* fe80::/10, RFC 4291 2.5.6 */
	if ((ip->saddr.in6_u.u6_addr16[0] & bpf_htons(0xffc0)) == bpf_htons(0xfe80))
		return true;
	proto = skip_extensions(c, ip->nexthdr);
	if (proto < 0)
		return true;
	if (proto == IPPROTO_UDP)
		return stays_udp(c);
	if (proto != IPPROTO_ICMPV6)
		return false;
	icmp = take(c, sizeof(*icmp));
	if (!icmp)
		return true;
	return (icmp->type >= MLD_QUERY && icmp->type <= ND_LAST) || icmp->type == MLD2_REPORT;
}

static __always_inline int egress_redirect(struct __sk_buff *skb, struct ipmp_member *member,
					   struct ipmp_track *track, __u32 instance)
{
	__u32 bit = first_survivor(instance, (__u32)track->word);
	struct ipmp_traffic *stats;
	struct ipmp_member *to;
	__u32 key;

	if (!bit) {
		count(IPMP_R_EGRESS_NOWHERE);
		return TC_ACT_UNSPEC;
	}
	key = track->member[(bit - 1) & (IPMP_GROUP_MEMBERS - 1)];
	to = bpf_map_lookup_elem(&members, &key);
	if (!to || !to->ifindex) {
		count(IPMP_R_EGRESS_NOWHERE);
		return TC_ACT_UNSPEC;
	}
	/* Same broadcast domain, so the destination MAC stays valid. */
	if (bpf_skb_store_bytes(skb, IPMP_MAC, to->mac, IPMP_MAC, 0)) {
		count(IPMP_R_EGRESS_STORE);
		return TC_ACT_UNSPEC;
	}
	count(IPMP_R_EGRESS_REDIRECTED);
	key = instance / IPMP_FAMILIES;
	stats = bpf_map_lookup_elem(&traffic, &key);
	if (stats)
		stats->redirected++;
	return bpf_redirect(to->ifindex, 0);
}

/* The slow way: the member is not usable in the packet's family. */
static __always_inline int egress_switch(struct __sk_buff *skb, __u32 number, __u32 family,
					 struct ipmp_track *track)
{
	struct ipmp_member *member = bpf_map_lookup_elem(&members, &number);
	struct cursor c;
	struct ethhdr *eth;
	__be16 proto = 0;
	bool stays;

	if (!member) {
		count(IPMP_R_LOOKUP);
		return TC_ACT_UNSPEC;
	}
	if (skb->vlan_present && skb->vlan_tci & VLAN_ID_MASK) {
		count(IPMP_R_EGRESS_PASSED);
		return TC_ACT_UNSPEC;
	}
	if (skb->data_end - skb->data < EGRESS_PULL &&
	    bpf_skb_pull_data(skb, skb->len < EGRESS_PULL ? skb->len : EGRESS_PULL)) {
		count(IPMP_R_PULL);
		return TC_ACT_UNSPEC;
	}
	c.pos = (void *)(long)skb->data;
	c.end = (void *)(long)skb->data_end;
	eth = parse_ethernet(&c, &proto);
	if (!eth || !same_mac(eth->h_source, member->mac)) {
		count(IPMP_R_EGRESS_PASSED);
		return TC_ACT_UNSPEC;
	}
	if (proto == bpf_htons(ETH_P_IP) && family == IPMP_IPV4)
		stays = stays_ipv4(&c, member);
	else if (proto == bpf_htons(ETH_P_IPV6) && family == IPMP_IPV6)
		stays = stays_ipv6(&c, member);
	else
		stays = true;
	if (stays) {
		count(IPMP_R_EGRESS_PASSED);
		return TC_ACT_UNSPEC;
	}
	return egress_redirect(skb, member, track, number * IPMP_FAMILIES + family);
}

/* The family that a frame of this (innermost untagged) protocol belongs to; -1: neither. */
static __always_inline int egress_family(struct __sk_buff *skb)
{
	__be16 proto = skb->protocol;

	if (proto == bpf_htons(ETH_P_8021Q)) {
		struct cursor c = {.pos = (void *)(long)skb->data,
				   .end = (void *)(long)skb->data_end};

		if (!parse_ethernet(&c, &proto))
			return -1;
	}
	if (proto == bpf_htons(ETH_P_IP))
		return IPMP_IPV4;
	if (proto == bpf_htons(ETH_P_IPV6))
		return IPMP_IPV6;
	return -1;
}

static __always_inline int egress(struct __sk_buff *skb)
{
	__u32 link, number, key;
	struct ipmp_track *track;
	int family = egress_family(skb);

	if (family < 0)
		return TC_ACT_UNSPEC;
	if (!find_link(skb->ifindex, &link)) {
		count(IPMP_R_NOT_MEMBER);
		return TC_ACT_UNSPEC;
	}
	key = (link >> LINK_GROUP_SHIFT & LINK_GROUP_MASK) * IPMP_FAMILIES + family;
	track = bpf_map_lookup_elem(&tracks, &key);
	if (!track) {
		count(IPMP_R_LOOKUP);
		return TC_ACT_UNSPEC;
	}
	if (track->word >> (link >> LINK_BIT_SHIFT & 31) & 1)
		return TC_ACT_UNSPEC;
	number = link & LINK_MEMBER_MASK;
	return egress_switch(skb, number, family, track);
}

#endif
