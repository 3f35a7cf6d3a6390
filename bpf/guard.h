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
	__u32 family;
	__u32 bit;
	__u32 usable;
	__u32 missed; /* of the suspect, in its last 100 answered rounds and the present run */
	__u32 behind; /* how far the suspect is behind the newest round; by 2^32, not by sign */
	__u32 fit;    /* members that may take over */
	__u32 run;    /* misses of the suspect in a row */
	__u32 open;   /* misses of the sibling in the newest rounds */
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
	struct ipmp_track *track;
	__u64 since_ns;
	__u32 family;
	__u32 cpu;
	__u32 ran;
	__u32 pad;
};

static long look_at_cpu(__u32 i, struct cpu_look *l)
{
	struct ipmp_traffic *t;
	struct ipmp_round *r;
	__u32 key, seen;

	if (!(l->track->members & (1U << (i & 31))))
		return 0;
	key = l->track->member[i & (IPMP_GROUP_MEMBERS - 1)];
	t = bpf_map_lookup_percpu_elem(&traffic, &key, l->cpu);
	if (!t)
		return 0;
	seen = t->seen[l->family & 1];
	r = &l->track->round[seen & IPMP_WINDOW_MASK];
	if (r->round == seen && (__s64)(r->begun_ns - l->since_ns) >= 0) {
		l->ran = 1;
		return 1;
	}
	return 0;
}

/* Whether our programs have run, since the first missed round became due, on every CPU that took
 * the member's last reply from a target which it now misses. Replies may wait there unread.
 */
static __always_inline bool reply_cpus_ran(struct misses *m, __u32 family, struct cpu_look *look)
{
	for (__u32 i = 0; i < IPMP_TARGETS; i++) {
		__u32 cpu = m->inst->reply_cpu[i];

		if (!cpu || !(m->missed_targets & (1U << i)))
			continue;
		if (cpu - 1 == bpf_get_smp_processor_id())
			continue;
		look->track = m->track;
		look->since_ns = m->first_due_ns;
		look->family = family;
		look->cpu = cpu - 1;
		look->ran = 0;
		bpf_loop(IPMP_GROUP_MEMBERS, look_at_cpu, look, 0);
		if (!look->ran)
			return false;
	}
	return true;
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
