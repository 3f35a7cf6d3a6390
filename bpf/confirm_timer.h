/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Confirmation by bpf_timer: same CPU, 5 to 10 us later; its softirq comes after NET_RX, so what
 * waits in this CPU's receive queue is stamped first. Refused on PREEMPT_RT: see confirm_tick.h.
 */
#ifndef IPMP_CONFIRM_H
#define IPMP_CONFIRM_H

#include "verdict.h"

enum timer_clock {
	TIMER_CLOCK_MONOTONIC = 1, /* CLOCK_MONOTONIC of <time.h>, which BPF cannot include */
	TIMER_BUSY = -16,	   /* EBUSY: initialised before, which is the ordinary case */
};

struct ipmp_timer {
	struct bpf_timer timer;
};

/* Never updated from user space: that would free the timers. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IPMP_INSTANCES);
	__type(key, __u32);
	__type(value, struct ipmp_timer);
} timers SEC(".maps");

static int confirm_timer(void *map, __u32 *key, struct ipmp_timer *value)
{
	ipmp_confirm(*key);
	return 0;
}

static __always_inline bool confirm_later(__u32 instance, __u64 delay)
{
	struct ipmp_timer *t = bpf_map_lookup_elem(&timers, &instance);
	long err;

	if (!t) {
		count(IPMP_R_LOOKUP);
		return false;
	}
	err = bpf_timer_init(&t->timer, &timers, TIMER_CLOCK_MONOTONIC);
	if (err && err != TIMER_BUSY)
		count(IPMP_R_TIMER_INIT);
	/* Each time: after an update of the program the callback would be the old one's. */
	err = bpf_timer_set_callback(&t->timer, confirm_timer);
	if (!err)
		err = bpf_timer_start(&t->timer, delay, 0);
	if (err)
		count(IPMP_R_TIMER_START);
	return !err;
}

static __always_inline void confirm_anchor(bool never)
{
	if (never)
		confirm_later(0, 0);
}

static __always_inline __u64 confirm_patience(struct ipmp_track *track, __u32 stage)
{
	return stage == IPMP_STAGE_WAITED ? track->interval_ns : 0;
}

static __always_inline __u32 confirm_rounds(void)
{
	return 3;
}

#endif
