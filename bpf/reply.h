/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A probe reply: is it ours, which round does it answer, and what follows from it. */
#ifndef IPMP_REPLY_H
#define IPMP_REPLY_H

#include "parse.h"
#include "verdict.h"

/* A reply as the parsers found it, before anything is believed. */
struct reply {
	struct ipmp_addr from;
	struct ipmp_addr to;
	__u64 nonce;
	__u32 round;
	__u32 number; /* of the member that it came in on */
	__u32 family;
	__u32 kind;
	__u32 magic;
	__u8 from_mac[IPMP_MAC]; /* as the ARP or ND message says */
	__u8 to_mac[IPMP_MAC];	 /* as the Ethernet header says */
};

struct round_search {
	struct ipmp_track *track;
	struct ipmp_instance *inst;
	__u64 now;
	__u32 target;
	__u32 found;
	__u32 young;
	__u32 pad;
};

/*
 * ARP and ND replies carry no round: the newest sent to that target here, at least rtt_min ago,
 * that has no reply yet. Where all of those have one, it is the newest of them all, whose reply is
 * faster than any before: else rtt_min would stay what the first reply took, and every faster one
 * be taken for the second reply to the round before. A round newer than the newest published is
 * being sent: with veth the reply comes before the send returns.
 */
static long search_round(__u32 i, struct round_search *s)
{
	__u32 round = s->track->newest - i;
	__u32 slot = round & IPMP_WINDOW_MASK;
	struct ipmp_round *r = &s->track->round[slot];

	if (r->round != round || r->target != s->target)
		return 0;
	if (s->inst->slot[slot].sent != round && !newer(round, s->inst->newest))
		return 0;
	if ((__s64)(s->now - r->begun_ns) < 0)
		return 0;
	if (s->inst->slot[slot].acked == round) {
		/* What was sent before it has had its chance. A second reply, or a fast one. */
		if (!s->young)
			s->found = round;
		return 1;
	}
	if ((__s64)(s->now - r->begun_ns) < (__s64)s->inst->rtt_min_ns) {
		if (!s->young)
			s->young = round;
		return 0;
	}
	s->found = round;
	return 1;
}

static __always_inline bool known_mac(const __u8 *mac)
{
	return mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5];
}

struct target_search {
	struct ipmp_track *track;
	const struct reply *reply;
	__u32 found; /* index + 1 */
	__u32 pad;
};

static long search_target(__u32 i, struct target_search *s)
{
	struct ipmp_target *t = &s->track->target[i & (IPMP_TARGETS - 1)];

	if (i >= s->track->targets)
		return 1;
	if (!same_addr(&t->addr, &s->reply->from) || !known_mac(t->mac) ||
	    !same_mac(t->mac, s->reply->from_mac))
		return 0;
	s->found = i + 1;
	return 1;
}

/* The round that an ARP or ND reply answers, or 0. */
static __always_inline __u32 round_of(struct ipmp_track *track, struct ipmp_instance *inst,
				      const struct reply *reply, __u64 now)
{
	struct target_search t = {.track = track, .reply = reply};
	struct round_search s = {.track = track, .inst = inst, .now = now};

	bpf_loop(IPMP_TARGETS, search_target, &t, 0);
	if (!t.found)
		return 0;
	s.target = t.found - 1;
	bpf_loop(IPMP_WINDOW, search_round, &s, 0);
	return s.found ? s.found : s.young;
}

/* RFC 6298 in integers; a race between two CPUs costs one sample. */
static __always_inline void smooth(struct ipmp_instance *inst, __u32 rtt)
{
	__s32 error;

	if (!inst->rtt_min_ns || rtt < inst->rtt_min_ns)
		inst->rtt_min_ns = rtt;
	if (!inst->rtt_ns) {
		inst->rtt_ns = rtt;
		inst->rtt_dev_ns = rtt / 2;
		return;
	}
	error = (__s32)(rtt - inst->rtt_ns);
	inst->rtt_ns += error >> 3;
	if (error < 0)
		error = -error;
	inst->rtt_dev_ns += (__s32)((__u32)error - inst->rtt_dev_ns) >> 2;
}

struct judge_walk {
	__u64 now;
	__u32 track;
	__u32 others; /* mask */
};

static long judge_other(__u32 i, struct judge_walk *w)
{
	if (w->others & (1U << (i & 31))) {
		__u32 suspect = ipmp_judge(w->track, i, w->now);

		if (suspect)
			ipmp_confirm(suspect - 1);
	}
	return w->others >> (i & 31) <= 1;
}

/*
 * Checks a reply, stamps it, and judges the siblings by it. Returns whether it was ours, that is,
 * whether it may be consumed.
 */
__noinline int ipmp_reply(struct reply *reply)
{
	struct judge_walk walk = {};
	struct ipmp_instance *inst;
	struct ipmp_member *member;
	struct ipmp_traffic *stats;
	struct ipmp_track *track;
	struct ipmp_round *r;
	struct ipmp_slot *slot;
	__u32 key, number, round, acked, cpu;
	__u64 now, rtt;

	if (!reply)
		return 0;
	number = reply->number; /* before 6.3 a key may not lie in another function's memory */
	member = bpf_map_lookup_elem(&members, &number);
	key = number * IPMP_FAMILIES + (reply->family & 1);
	inst = bpf_map_lookup_elem(&instances, &key);
	if (!member || !inst) {
		count(IPMP_R_LOOKUP);
		return 0;
	}
	if (inst->kind != reply->kind) {
		count(IPMP_R_REPLY_UNPROBED);
		return 0;
	}
	walk.track = member->group * IPMP_FAMILIES + (reply->family & 1);
	track = bpf_map_lookup_elem(&tracks, &walk.track);
	if (!track) {
		count(IPMP_R_LOOKUP);
		return 0;
	}
	if (!same_mac(reply->to_mac, member->mac) ||
	    (reply->kind == IPMP_KIND_ICMP && !same_addr(&reply->to, &inst->source))) {
		count(IPMP_R_REPLY_DESTINATION);
		return 0;
	}
	now = bpf_ktime_get_ns();
	if (reply->kind == IPMP_KIND_ICMP) {
		if (reply->magic != IPMP_PROBE_MAGIC) {
			count(IPMP_R_REPLY_MAGIC);
			return 0;
		}
		round = reply->round;
	} else {
		round = round_of(track, inst, reply, now);
		if (!round)
			return 0; /* an ordinary ARP or ND message */
	}
	r = &track->round[round & IPMP_WINDOW_MASK];
	slot = &inst->slot[round & IPMP_WINDOW_MASK];
	if (r->round != round || track->newest - round >= IPMP_WINDOW) {
		count(IPMP_R_REPLY_WINDOW);
		return 0;
	}
	if (reply->kind == IPMP_KIND_ICMP) {
		if (reply->nonce != r->nonce) {
			count(IPMP_R_REPLY_NONCE);
			return 0;
		}
		if (!same_addr(&reply->from, &track->target[r->target & (IPMP_TARGETS - 1)].addr)) {
			count(IPMP_R_REPLY_SOURCE);
			return 0;
		}
	}
	if (slot->acked == round) {
		count(IPMP_R_REPLY_DUPLICATE);
		return 1;
	}

	rtt = now - r->begun_ns;
	if ((__s64)rtt < 0)
		rtt = 0; /* the stamp of another CPU, ahead of ours */
	if (rtt > 0x7fffffff)
		rtt = 0x7fffffff;
	slot->rtt_ns = rtt;
	slot->acked = round;
	inst->last_reply_ns = now;
	inst->replies++;
	smooth(inst, rtt);
	acked = inst->acked;
	for (int i = 0; i < VERDICT_RACES && newer(round, acked); i++) {
		__u32 was = __sync_val_compare_and_swap(&inst->acked, acked, round);

		if (was == acked)
			break;
		acked = was;
	}
	cpu = bpf_get_smp_processor_id() + 1;
	inst->reply_cpu[r->target & (IPMP_TARGETS - 1)] = cpu > 255 ? 0 : cpu;
	stats = bpf_map_lookup_elem(&traffic, &number);
	if (stats) {
		stats->reply_ns = now;
		stats->replies++;
	}
	count(IPMP_R_REPLY);

	/* The first reply to a round, from any member, answers it. */
	acked = r->answered;
	if (acked != round && __sync_val_compare_and_swap(&r->answered, acked, round) == acked) {
		r->answered_ns = now;
		__sync_fetch_and_add(&track->answered, 1);
	}
	walk.now = now;
	walk.others = (__u32)track->word & ~(1U << (member->bit & 31));
	if (walk.others)
		bpf_loop(IPMP_GROUP_MEMBERS, judge_other, &walk, 0);
	confirm_anchor(!now);
	return 1;
}

#endif
