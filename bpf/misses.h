/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which rounds a member has missed (detection.md section 1). */
#ifndef IPMP_MISSES_H
#define IPMP_MISSES_H

#include <stdbool.h>
#include "maps.h"

/*
 * Whether round a, which is in the window, is newer than b: b is neither a nor less than a window
 * ahead of it. A signed difference would take a b of 2^31 rounds ago for newer (2.5 days at 100 us:
 * a member that joined, or was repaired, after so long).
 */
static __always_inline bool newer(__u32 a, __u32 b)
{
	return b - a >= IPMP_WINDOW;
}

struct misses {
	struct ipmp_track *track;
	struct ipmp_instance *inst;
	__u64 now;
	__u64 first_due_ns; /* when the first missed round became due */
	__u64 slowest_ns;   /* longest that a sibling's answer to a missed round took */
	__u32 count;
	__u32 newest;	      /* newest answered round */
	__u32 missed_targets; /* mask */
	__u32 pending; /* rounds that will be misses when they are due, or known to be sent */
	__u64 pending_due_ns; /* when the newest of them is due */
};

/* One round, from the newest backwards; a round is a miss if it was answered by a sibling and is
 * due here: sent here at least the member's own RTT and four deviations ago.
 */
static long count_miss(__u32 i, struct misses *m)
{
	struct ipmp_track *track = m->track;
	struct ipmp_instance *inst = m->inst;
	__u32 round = track->newest - i;
	__u32 slot = round & IPMP_WINDOW_MASK;
	struct ipmp_round *r = &track->round[slot];
	__u64 due;

	if (!newer(round, inst->acked))
		return 1;
	if (r->round != round || r->answered != round)
		return 0;
	if (!m->newest)
		m->newest = round;
	due = r->begun_ns + inst->rtt_ns + 4 * (__u64)inst->rtt_dev_ns;
	if (inst->slot[slot].sent != round) {
		/* Perhaps it is being sent: a sibling's reply may overtake the end of the send. */
		if (inst->newest == round || !newer(round, inst->newest))
			return 0;
	} else if ((__s64)(m->now - due) >= 0) {
		goto missed;
	}
	if (!m->pending)
		m->pending_due_ns = due;
	m->pending++;
	return 0;
missed:
	m->count++;
	m->first_due_ns = due;
	if ((__s64)(r->answered_ns - r->begun_ns - m->slowest_ns) > 0)
		m->slowest_ns = r->answered_ns - r->begun_ns;
	m->missed_targets |= 1U << (r->target & (IPMP_TARGETS - 1));
	return 0;
}

static __always_inline void count_misses(struct misses *m)
{
	bpf_loop(IPMP_WINDOW, count_miss, m, 0);
}

#endif
