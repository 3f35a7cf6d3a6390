/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the lab's fault programs and Go share. A fault program sits on the switch's side of a
 * cable: "from" is what comes from the cable's far end (tcx ingress), "to" is what the switch
 * sends there (tcx egress). All times are CLOCK_MONOTONIC in ns.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <linux/types.h>

enum fault_limit {
	FAULT_RULES = 16,
	FAULT_CLASSES = 8,
	FAULT_SLOTS = 64, /* two directions of 32 */
};

enum fault_direction {
	FAULT_FROM,
	FAULT_TO,
};

enum fault_kind {
	FAULT_DROP,   /* each matching frame */
	FAULT_NTH,    /* each param-th matching frame */
	FAULT_RANDOM, /* with a chance of param in 2^32 */
	FAULT_POLICE, /* all above one frame in param ns, after a burst of param2 ns of them */
	FAULT_FIRST,  /* the first param matching frames */
	FAULT_BURST,  /* what matches within param ns of the first match */
};

enum fault_match {
	FAULT_ANY,
	FAULT_ETHERTYPE,    /* type */
	FAULT_ANNOUNCEMENT, /* gratuitous ARP, unsolicited NA, and ARP that claims a data address */
	FAULT_ECHO,	    /* ICMP and ICMPv6 echo, either way */
	FAULT_CLASS,	    /* IP frames whose end on this cable is of class `type` */
};

struct fault_rule {
	__u8 direction;
	__u8 match;
	__u16 type;
	__u32 kind;
	__u64 param;
	__u64 param2;
	/* the program writes */
	__u64 first_ns; /* the first frame dropped: the moment of the cut */
	__u64 last_ns;	/* the last frame dropped */
	__u64 matched;
	__u64 dropped;
	__u64 state; /* FAULT_POLICE: theoretical arrival time; FAULT_BURST: first match */
};
_Static_assert(sizeof(struct fault_rule) == 64, "fault_rule");

/* Counters of one direction; those of FAULT_TO follow those of FAULT_FROM. */
enum fault_slot {
	FAULT_IP = 0, /* + class of the address on this cable: source of "from", else destination */
	FAULT_ARP = 8, /* + class of the ARP sender address */
	FAULT_ANNOUNCED = 16,
	FAULT_ECHOES,
	FAULT_ALL,
	FAULT_DROPPED,
	FAULT_STRAY, /* from a test address, and neither a probe nor an answer to one */
	FAULT_DIRECTION = 32,
};

/* What marks a probe, after the ICMP header: ipmpd's own (bpf/ipmp.h). */
enum fault_probe {
	FAULT_MAGIC = 0x69706d70,
};

struct fault_count {
	__u64 packets;
	__u64 bytes;
	__u64 first_ns;
	__u64 last_ns;
};
_Static_assert(sizeof(struct fault_count) == 32, "fault_count");

/* Key of the class map; IPv4 as ::ffff:a.b.c.d. Class 1 is data, 2 is test, 0 all others. */
enum fault_class {
	FAULT_OTHER,
	FAULT_DATA,
	FAULT_TEST,
};

struct fault_addr {
	__u8 octet[16];
};

#endif
