/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one contract between the BPF programs and Go: limits, structs and enums. bpf2go carries
 * them over, so that nothing here is written twice. Padding is explicit; sizes are asserted.
 *
 * Words: an *instance* is one family of one member (the phyint instance of Solaris), number
 * member * 2 + family. A *track* is one family of one group, number group * 2 + family; its
 * members are compared with each other. All times are CLOCK_MONOTONIC in ns. "Go writes" and
 * "kernel writes" say who owns a field; no field has two writers, but for ipmp_track.word, which
 * is only ever changed by compare-and-exchange.
 */
#ifndef IPMP_H
#define IPMP_H

#include <linux/types.h>

/* Raise it with every change of a map's layout: pins of another layout are not adopted. */
enum ipmp_layout {
	IPMP_LAYOUT = 4,
};

enum ipmp_limit {
	IPMP_GROUPS = 64,
	IPMP_GROUP_MEMBERS = 32, /* a group's members are the bits of a 32-bit mask */
	IPMP_MEMBERS = 256,
	IPMP_FAMILIES = 2,
	IPMP_INSTANCES = 512, /* members x families */
	IPMP_TRACKS = 128,    /* groups x families */
	IPMP_WINDOW = 128,    /* rounds in flight or in judgement; a power of two */
	IPMP_WINDOW_MASK = 127,
	IPMP_TARGETS = 16,
	IPMP_TESTS = 8, /* test addresses of one family of one member */
	IPMP_ADDRESSES = 4096,
	IPMP_OWNERS = 6144, /* data addresses, and the test addresses of all members */
	IPMP_FEEDS = 2048, /* multicast groups, each counted for each group of ours that hears it */
	IPMP_MAC = 6,
	IPMP_CPUS = 256,
	IPMP_NEAR = 1024, /* a power of two */
	IPMP_NEAR_MASK = 1023,
};

enum ipmp_family {
	IPMP_IPV4,
	IPMP_IPV6,
};

enum ipmp_kind {
	IPMP_KIND_NONE, /* not probed */
	IPMP_KIND_ICMP, /* echo from a test address: the reply carries round and nonce */
	IPMP_KIND_ARP,	/* ARP request, or neighbour solicitation: the reply carries neither */
};

enum ipmp_instance_flag {
	/* a verdict on this instance takes the member's other family with it (it has no probes) */
	IPMP_TAKES_BOTH = 1,
};

enum ipmp_member_flag {
	/* in no group, and watched only: no request for an address of a group is kept from it */
	IPMP_MEMBER_MONITOR = 1,
};

/* How far a suspicion has come. */
enum ipmp_stage {
	IPMP_STAGE_NONE,
	IPMP_STAGE_SUSPECTED,
	IPMP_STAGE_WAITED, /* a guard has asked for one interval more */
	IPMP_STAGE_TOLD,   /* no other member may take over: IPMP_EVENT_LAST was sent */
};

/* The probe's ICMP payload: it comes back unchanged. Network byte order. */
enum ipmp_probe {
	IPMP_PROBE_MAGIC = 0x69706d70, /* "ipmp" */
};

struct ipmp_payload {
	__be32 magic;
	__be32 round;
	__be64 nonce;
};
_Static_assert(sizeof(struct ipmp_payload) == 16, "ipmp_payload");

/* IPv4 addresses are the last four bytes of the IPv4-mapped form ::ffff:a.b.c.d. */
struct ipmp_addr {
	__u8 octet[16];
};

/* Map "members", by member number. Go writes. A free entry has ifindex 0. */
struct ipmp_member {
	__u32 ifindex;
	__u8 group;
	__u8 bit; /* of this member in the words of its group's tracks */
	__u8 mac[IPMP_MAC];
	__u8 tests[IPMP_FAMILIES];
	__u8 flags; /* enum ipmp_member_flag */
	__u8 pad;
	struct ipmp_addr test[IPMP_FAMILIES][IPMP_TESTS];
};
_Static_assert(sizeof(struct ipmp_member) == 272, "ipmp_member");

/* What happened to one round on one instance; round r is in slot r & IPMP_WINDOW_MASK. */
struct ipmp_slot {
	__u32 sent;   /* Go writes, after the send: the round; anything else: not sent here */
	__u32 acked;  /* kernel writes: the round, when its reply came */
	__u32 rtt_ns; /* kernel writes, before acked: since ipmp_round.begun_ns; saturates */
	__u32 pad;
};

/* Map "instances" (mmapable), by instance number. */
struct ipmp_instance {
	/* Go writes */
	__u32 kind;	     /* enum ipmp_kind */
	__u32 flags;	     /* enum ipmp_instance_flag */
	__u32 limit;	     /* misses in a row that make a suspect; 0: not armed, never judged */
	__u32 newest;	     /* newest round sent here */
	__u32 recent_missed; /* of the last 100 answered and closed rounds */
	__be16 icmp_id;
	__u16 pad0;
	struct ipmp_addr source; /* replies must be addressed to it (ICMP) */
	__u64 pad1[3];
	/* kernel writes */
	__u32 acked;	  /* newest round acknowledged; only grows */
	__u32 suspect;	  /* newest answered round when suspicion arose; 0: none */
	__u32 stage;	  /* enum ipmp_stage */
	__u32 suspicions; /* count */
	__u64 suspected_ns;
	__u64 last_reply_ns;
	__u32 rtt_ns;	  /* smoothed, RFC 6298 with alpha 1/8 */
	__u32 rtt_dev_ns; /* mean deviation, beta 1/4 */
	__u32 rtt_min_ns;
	__u32 replies;
	__u8 reply_cpu[IPMP_TARGETS]; /* CPU + 1 of the last reply from each target; 0: none yet */
	struct ipmp_slot slot[IPMP_WINDOW];
};
_Static_assert(sizeof(struct ipmp_instance) == 64 + 64 + 16 * IPMP_WINDOW, "ipmp_instance");

struct ipmp_round {
	__u64 begun_ns;	   /* Go writes, before the first send */
	__u64 nonce;	   /* Go writes, before the first send; network order as in the payload */
	__u64 answered_ns; /* kernel writes */
	__u32 round;	   /* Go writes, last */
	__u32 answered;	   /* kernel writes: the round, when the first reply came from any member */
	__u16 target;	   /* Go writes: index into ipmp_track.target */
	__u16 pad[3];
};
_Static_assert(sizeof(struct ipmp_round) == 40, "ipmp_round");

struct ipmp_target {
	struct ipmp_addr addr;
	__u8 mac[IPMP_MAC]; /* 0: not known yet */
	__u16 pad;
};

/* Map "tracks" (mmapable), by track number. */
struct ipmp_track {
	/* generation << 32 | usable members; compare-and-exchange only, by either side */
	__u64 word;
	/* Go writes */
	__u32 newest;  /* newest round begun; rounds start at IPMP_WINDOW, so that 0 is none */
	__u32 members; /* mask of bits in use */
	__u32 interval_ns;
	__u32 targets;
	__u64 lease_ns; /* until when ipmp_feed.asked holds: its sockets end with Go */
	__u16 member[IPMP_GROUP_MEMBERS]; /* bit -> member number */
	struct ipmp_target target[IPMP_TARGETS];
	/* kernel writes */
	__u64 answered; /* answered rounds */
	__u64 pad1[3];
	struct ipmp_round round[IPMP_WINDOW];
};
_Static_assert(sizeof(struct ipmp_track) == 32 + 64 + 24 * IPMP_TARGETS + 32 + 40 * IPMP_WINDOW,
	       "ipmp_track");

/*
 * Map "survivors", by instance number: where a member's traffic goes when it is not usable, as
 * bits of its group in order of preference. Two copies and an index, so that a reader never sees
 * half an update. Go writes the idle copy, then the index.
 */
struct ipmp_survivors {
	__u32 index;
	__u8 count[2];
	__u8 pad[2];
	__u8 order[2][IPMP_GROUP_MEMBERS];
};
_Static_assert(sizeof(struct ipmp_survivors) == 72, "ipmp_survivors");

/*
 * Map "owners" (hash), by IPv4 address in network order: the member that answers ARP for it. When
 * the owner of a data address is not usable it is the first usable of the owner's survivors, so
 * that a verdict flips it. A test address is fixed: answered elsewhere, it would draw the probe
 * replies of a failed member there, and the member could never be found good again. Go writes.
 */
struct ipmp_owner {
	__u16 member;
	__u8 fixed;
	__u8 pad;
};

/* Map "casts" (hash): a multicast group that somebody hears on members of a group of ours. The
 * value is an index into map "feeds". Go writes. */
struct ipmp_cast {
	struct ipmp_addr addr;
	__u32 group; /* of ours */
};
_Static_assert(sizeof(struct ipmp_cast) == 20, "ipmp_cast");

/* What came last of a feed on the wire of one member, while the feed changes over. */
struct ipmp_wire {
	__u64 ns; /* 0: nothing yet */
	__u64 id; /* of the packet, by its content */
};

/* Map "feeds" (mmapable), by the index that map "casts" has. Masks are of the group's bits. */
struct ipmp_feed {
	/* Go writes */
	__u32 joined; /* members on which somebody else has joined */
	__u32 asked;  /* members on which we have, for the sake of another one */
	/* kernel writes */
	__u32 fed; /* members that hear what comes in on a survivor */
	__u32 pad;
	struct ipmp_wire wire[IPMP_GROUP_MEMBERS];
};
_Static_assert(sizeof(struct ipmp_feed) == 16 + 16 * IPMP_GROUP_MEMBERS, "ipmp_feed");

/* Map "traffic" (per CPU), by member number. Kernel writes. */
struct ipmp_traffic {
	__u64 reply_ns;		   /* last probe reply, exact */
	__u64 replies;		   /* our replies, of either family */
	__u64 other_ns;		   /* last other packet, coarse clock */
	__u64 other;		   /* packets that are not our replies */
	__u64 redirected;	   /* packets that the egress switch took off this member */
	__u32 seen[IPMP_FAMILIES]; /* newest round begun when any packet last came in on this CPU */
	__u32 other_jiffies;	   /* when other_ns was read */
	__u32 pad;
};
_Static_assert(sizeof(struct ipmp_traffic) == 56, "ipmp_traffic");

/* Map "events" (ring buffer) */
enum ipmp_event_kind {
	IPMP_EVENT_VERDICT = 1, /* the bit is cleared, the egress switched, ARP flipped */
	IPMP_EVENT_LAST,	/* misses its rounds, but no other member may take over */
};

struct ipmp_event {
	__u32 kind;
	__u16 group;
	__u16 member;	  /* number */
	__u8 family;	  /* that missed its rounds */
	__u8 bit;	  /* of the member */
	__u8 both;	  /* 1: the other family was taken with it */
	__u8 guarded;	  /* 1: a guard asked for one interval more */
	__u32 generation; /* of the word that the verdict changed (this family's track) */
	__u32 usable;	  /* members left in that word */
	__u32 round;	  /* newest answered round */
	__u32 acked;	  /* newest round that the member acknowledged */
	__u32 misses;
	__u32 limit;
	__u32 pad;
	__u64 last_reply_ns;
	__u64 suspected_ns;
	__u64 verdict_ns;
};
_Static_assert(sizeof(struct ipmp_event) == 64, "ipmp_event");

/* Map "counters" (per CPU), by reason: one for every branch that is not the ordinary way. */
enum ipmp_reason {
	IPMP_R_NOT_MEMBER,	  /* a program runs on an interface that is no member */
	IPMP_R_REPLY,		  /* probe reply accepted */
	IPMP_R_REPLY_DUPLICATE,	  /* round already acknowledged */
	IPMP_R_REPLY_WINDOW,	  /* round not in the window of rounds begun */
	IPMP_R_REPLY_NONCE,	  /* nonce of another round: forged or replayed */
	IPMP_R_REPLY_SOURCE,	  /* not from the round's target */
	IPMP_R_REPLY_DESTINATION, /* not to the member's test address or MAC */
	IPMP_R_REPLY_MAGIC,	  /* our ICMP identifier, but not our payload */
	IPMP_R_REPLY_UNPROBED,	  /* a reply where no probe was sent */
	IPMP_R_SHORT,		  /* truncated in a header that we read */
	IPMP_R_PULL,		  /* bpf_skb_pull_data failed */
	IPMP_R_SUSPECT,		  /* suspicion arose */
	IPMP_R_CLEARED,		  /* confirmation found the member answering */
	IPMP_R_GUARD_CPU,      /* waited one interval: the replies' CPU had not run, or was late */
	IPMP_R_GUARD_TARGETS,  /* misses on one of several answering targets only */
	IPMP_R_GUARD_SURVIVOR, /* no sibling that misses clearly less */
	IPMP_R_LAST,	       /* no other usable member */
	IPMP_R_VERDICT,
	IPMP_R_RACED,	    /* compare-and-exchange lost too often */
	IPMP_R_TIMER_INIT,  /* bpf_timer_init failed */
	IPMP_R_TIMER_START, /* bpf_timer_set_callback or bpf_timer_start failed */
	IPMP_R_RING_FULL,   /* event lost: the ring buffer is full */
	IPMP_R_LOOKUP,	    /* a map lookup that cannot fail, failed */
	IPMP_R_EGRESS_REDIRECTED,
	IPMP_R_EGRESS_PASSED,  /* on an unusable member, but not ours to redirect */
	IPMP_R_EGRESS_NOWHERE, /* no usable survivor: passes unchanged */
	IPMP_R_EGRESS_STORE,   /* rewriting the source MAC failed */
	IPMP_R_ARP_FILTERED,   /* ARP request for an address that another member owns */
	IPMP_R_CAST_CARRIED,   /* multicast that came in on a survivor, given to a failed member */
	IPMP_R_CAST_HIDDEN,    /* multicast that nobody is to hear here */
	IPMP_R_CAST_REFUSED,   /* the failed member does not take it: it is down */
	IPMP_R_MAX,
};

#endif
