/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Cursor parsers. Each returns the header and advances the cursor, or NULL where the frame ends
 * before the header does. Only untagged frames and those with VLAN 0 (a priority tag) are ours.
 */
#ifndef IPMP_PARSE_H
#define IPMP_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include "ipmp.h"

enum parse_limit {
	PARSE_EXTENSIONS = 4, /* IPv6 extension headers walked before giving up */
};

enum parse_constant {
	VLAN_ID_MASK = 0x0fff,
	IP_FRAGMENT_MASK = 0x3fff, /* more fragments, or an offset */
	IP_OFFSET_MASK = 0x1fff,
	ND_TARGET_LENGTH = 16,
};

/* <linux/icmp.h>, <linux/icmpv6.h> and <linux/if_arp.h> need a C library's headers. */
enum message {
	ARP_ETHERNET = 1,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
	ICMP4_ECHO_REPLY = 0,
	ICMP6_ECHO_REPLY = 129,
	ND_ADVERTISEMENT = 136,
	ND_TARGET_LINK_LAYER = 2, /* option */
	ND_HOP_LIMIT = 255,
};

/* The first eight bytes of any ICMP or ICMPv6 message; id and sequence are those of an echo. */
struct icmp_frame {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id;
	__be16 sequence;
};

struct cursor {
	void *pos;
	void *end;
};

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

/* ARP for IPv4 over Ethernet, RFC 826 */
struct arp_frame {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[IPMP_MAC];
	__u8 sender_ip[4];
	__u8 target_mac[IPMP_MAC];
	__u8 target_ip[4];
};
_Static_assert(sizeof(struct arp_frame) == 28, "arp_frame");

static __always_inline void *take(struct cursor *c, __u32 size)
{
	void *header = c->pos;

	if (header + size > c->end)
		return NULL;
	c->pos = header + size;
	return header;
}

/* The Ethernet header and, in *proto, what it carries; a tag with VLAN 0 is skipped. */
static __always_inline struct ethhdr *parse_ethernet(struct cursor *c, __be16 *proto)
{
	struct ethhdr *eth = take(c, sizeof(*eth));
	struct vlan_tag *tag;

	if (!eth)
		return NULL;
	*proto = eth->h_proto;
	if (*proto != bpf_htons(ETH_P_8021Q))
		return eth;
	tag = take(c, sizeof(*tag));
	if (!tag)
		return NULL;
	if (!(tag->tci & bpf_htons(VLAN_ID_MASK)))
		*proto = tag->proto;
	return eth;
}

/* An IPv4 header of any length; the cursor stands behind its options. */
static __always_inline struct iphdr *parse_ipv4(struct cursor *c)
{
	struct iphdr *ip = take(c, sizeof(*ip));
	__u32 options;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return NULL;
	options = (ip->ihl - 5) * 4;
	if (!take(c, options))
		return NULL;
	return ip;
}

static __always_inline struct ipv6hdr *parse_ipv6(struct cursor *c)
{
	struct ipv6hdr *ip = take(c, sizeof(*ip));

	if (!ip || ip->version != 6)
		return NULL;
	return ip;
}

static __always_inline bool is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS;
}

/* Walks IPv6 extension headers; returns the upper-layer protocol, or -1. */
static __always_inline int skip_extensions(struct cursor *c, __u8 next)
{
	for (int i = 0; i < PARSE_EXTENSIONS; i++) {
		struct ipv6_opt_hdr *opt;

		if (!is_extension(next))
			return next;
		opt = take(c, sizeof(*opt));
		if (!opt)
			return -1;
		next = opt->nexthdr;
		if (!take(c, opt->hdrlen * 8 + 8 - (__u32)sizeof(*opt)))
			return -1;
	}
	return is_extension(next) ? -1 : next;
}

static __always_inline bool same_mac(const __u8 *a, const __u8 *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] &&
	       a[5] == b[5];
}

static __always_inline bool same_addr(const struct ipmp_addr *a, const struct ipmp_addr *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1];
}

static __always_inline void addr_from_ipv4(struct ipmp_addr *addr, __be32 ip)
{
	__u32 *word = (__u32 *)addr;

	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = ip;
}

static __always_inline void addr_from_ipv6(struct ipmp_addr *addr, const struct in6_addr *ip)
{
	__builtin_memcpy(addr, ip, sizeof(*addr));
}

#endif
