/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A counter on every branch that is not the ordinary way. */
#ifndef IPMP_COUNT_H
#define IPMP_COUNT_H

#include "maps.h"

static __always_inline void count(enum ipmp_reason reason)
{
	__u32 key = reason;
	__u64 *n = bpf_map_lookup_elem(&counters, &key);

	if (n)
		(*n)++;
}

#endif
