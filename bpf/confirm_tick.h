/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Confirmation without timers (PREEMPT_RT kernels refuse them): by the next due answered round,
 * or by the prober's next tick, which runs ipmp_tick; whichever is first.
 */
#ifndef IPMP_CONFIRM_H
#define IPMP_CONFIRM_H

#include "verdict.h"

static __always_inline bool confirm_later(__u32 instance, __u64 delay)
{
	return false;
}

static __always_inline void confirm_anchor(bool never)
{
}

/*
 * The prober's tick may come in the very moment of the suspicion, while the queue of the sibling
 * is still being drained.
 */
static __always_inline __u64 confirm_patience(struct ipmp_track *track, __u32 stage)
{
	return stage == IPMP_STAGE_WAITED ? 2 * (__u64)track->interval_ns : track->interval_ns / 2;
}

static __always_inline __u32 confirm_rounds(void)
{
	return 1;
}

#endif
