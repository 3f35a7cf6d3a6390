/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Confirmation without timers (PREEMPT_RT kernels refuse them): by the next due answered round,
 * or by the prober's next tick, which runs ipmp_tick; whichever is first.
 */
#ifndef IPMP_CONFIRM_H
#define IPMP_CONFIRM_H

#include "verdict.h"

static __always_inline void confirm_later(__u32 instance, __u64 delay)
{
}

static __always_inline bool confirm_overdue(__u32 instance)
{
	return true;
}

static __always_inline __u32 confirm_rounds(void)
{
	return 1;
}

#endif
