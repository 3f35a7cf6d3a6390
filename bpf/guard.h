/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What speaks against a verdict, or for waiting a moment (detection.md sections 1 to 3). */
#ifndef IPMP_GUARD_H
#define IPMP_GUARD_H

#include "misses.h"

struct answering {
	struct ipmp_track *track;
	__u32 targets; /* mask */
	__u32 pad;
};

static long count_answering(__u32 i, struct answering *a)
{
	__u32 round = a->track->newest - i;
	struct ipmp_round *r = &a->track->round[round & IPMP_WINDOW_MASK];

	if (r->round == round && r->answered == round)
		a->targets |= 1U << (r->target & (IPMP_TARGETS - 1));
	return 0;
}

/* With two or more answering targets a verdict needs misses on two of them. */
static __always_inline bool enough_targets(struct misses *m, struct answering *a)
{
	if (m->missed_targets & (m->missed_targets - 1))
		return true;
	a->track = m->track;
	a->targets = 0;
	bpf_loop(IPMP_WINDOW / 2, count_answering, a, 0);
	return !(a->targets & (a->targets - 1));
}

struct survey {
	struct ipmp_track *track;
	__u32 usable;
	__u32 missed; /* of the suspect, in its last 100 answered rounds and the present run */
	__u32 behind; /* how far the suspect is behind the newest round; by 2^32, not by sign */
	__u32 fit;    /* members that may take over */
	__u32 run;    /* misses of the suspect in a row */
	__u8 family;
	__u8 bit;
	__u8 open; /* misses of the sibling in the newest rounds */
	__u8 pad;
	struct ipmp_instance *sibling;
};

enum survey_limit {
	SURVEY_ROUNDS = 32, /* the newest; older ones are in recent_missed */
	SURVEY_WEIGHT = 4,  /* misses in a row that it takes for each of the sibling's */
};

/* One of the newest rounds: answered by somebody, sent to by the sibling, not answered there. */
static long survey_round(__u32 i, struct survey *s)
{
	__u32 round = s->track->newest - i;
	__u32 slot = round & IPMP_WINDOW_MASK;
	struct ipmp_round *r = &s->track->round[slot];
	struct ipmp_instance *inst = s->sibling;

	if (r->round == round && r->answered == round && inst->slot[slot].sent == round &&
	    inst->slot[slot].acked != round && s->track->newest - inst->acked < i)
		s->open++;
	return 0;
}

/*
 * A sibling may take over if it answered later than the suspect and misses clearly less. Its newest
 * rounds are looked at too: when a policer begins to drop replies, nothing is known of it yet, and
 * the run of misses that one member has by chance is as long as the limit.
 */
static long survey_sibling(__u32 i, struct survey *s)
{
	struct ipmp_instance *inst;
	__u32 key;

	if (i == s->bit || !(s->usable & (1U << (i & 31))))
		return 0;
	key = s->track->member[i & (IPMP_GROUP_MEMBERS - 1)] * IPMP_FAMILIES + s->family;
	inst = bpf_map_lookup_elem(&instances, &key);
	if (!inst)
		return 0;
	if (inst->kind == IPMP_KIND_NONE) {
		s->fit |= 1U << (i & 31);
		return 0;
	}
	s->sibling = inst;
	s->open = 0;
	bpf_loop(SURVEY_ROUNDS, survey_round, s, 0);
	if (s->track->newest - inst->acked < s->behind && 2 * inst->recent_missed <= s->missed &&
	    SURVEY_WEIGHT * s->open <= s->run)
		s->fit |= 1U << (i & 31);
	return 0;
}

struct cpu_look {
	struct misses *misses;
	__u32 family;
	__u32 self;
	__u32 needed; /* targets whose CPU must have run; masks */
	__u32 ran;
};

/* One target and one member: whether our programs have run for the member on the CPU of the
 * target's last reply.
 */
static long look_at_cpu(__u32 i, struct cpu_look *l)
{
	__u32 target = i / IPMP_GROUP_MEMBERS & (IPMP_TARGETS - 1);
	__u32 bit = i & (IPMP_GROUP_MEMBERS - 1);
	struct ipmp_track *track = l->misses->track;
	__u32 cpu = l->misses->inst->reply_cpu[target];
	struct ipmp_traffic *t;
	struct ipmp_round *r;
	__u32 key, seen;

	if (!cpu || !(l->misses->missed_targets & (1U << target)) || cpu - 1 == l->self)
		return 0;
	l->needed |= 1U << target;
	if (l->ran & (1U << target) || !(track->members & (1U << bit)))
		return 0;
	key = track->member[bit];
	t = bpf_map_lookup_percpu_elem(&traffic, &key, cpu - 1);
	if (!t)
		return 0;
	seen = t->seen[l->family & 1];
	r = &track->round[seen & IPMP_WINDOW_MASK];
	if (r->round == seen && (__s64)(r->begun_ns - l->misses->first_due_ns) >= 0)
		l->ran |= 1U << target;
	return 0;
}

/* Whether our programs have run, since the first missed round became due, on every CPU that took
 * the member's last reply from a target which it now misses. Replies may wait there unread.
 * One flat loop: the stack of the whole call chain is 512 bytes, and every call in it counts.
 */
static __always_inline bool reply_cpus_ran(struct misses *m, __u32 family, struct cpu_look *look)
{
	look->misses = m;
	look->family = family;
	look->self = bpf_get_smp_processor_id();
	look->needed = 0;
	look->ran = 0;
	bpf_loop(IPMP_TARGETS * IPMP_GROUP_MEMBERS, look_at_cpu, look, 0);
	return look->ran == look->needed;
}

/*
 * Whether the siblings' answers came on time. Late ones waited somewhere, and those of the suspect
 * may wait there still: with threaded NAPI each queue is drained by its own thread.
 */
static __always_inline bool answers_on_time(struct misses *m)
{
	__u64 usual = m->inst->rtt_ns + 4 * (__u64)m->inst->rtt_dev_ns;

	return m->slowest_ns <= usual + m->track->interval_ns / 2;
}

#endif
