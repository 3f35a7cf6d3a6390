/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps, and the one place that says their sizes. Names are at most 15 characters. */
#ifndef IPMP_MAPS_H
#define IPMP_MAPS_H

#include "ipmp.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* ifindex -> member number. Go writes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, IPMP_MEMBERS);
	__type(key, __u32);
	__type(value, __u32);
} links SEC(".maps");

/*
 * The same for most interfaces, by ifindex & IPMP_NEAR_MASK, without the hash, which costs a packet
 * as much as everything else here: ifindex << 32 | value of "links". Whoever shares his place with
 * another one is in "links" alone. Go writes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IPMP_NEAR);
	__type(key, __u32);
	__type(value, __u64);
} near_links SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IPMP_MEMBERS);
	__type(key, __u32);
	__type(value, struct ipmp_member);
} members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, IPMP_INSTANCES);
	__type(key, __u32);
	__type(value, struct ipmp_instance);
} instances SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, IPMP_TRACKS);
	__type(key, __u32);
	__type(value, struct ipmp_track);
} tracks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IPMP_INSTANCES);
	__type(key, __u32);
	__type(value, struct ipmp_survivors);
} survivors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, IPMP_OWNERS);
	__type(key, __be32);
	__type(value, struct ipmp_owner);
} owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, IPMP_FEEDS);
	__type(key, struct ipmp_cast);
	__type(value, __u32);
} casts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, IPMP_FEEDS);
	__type(key, __u32);
	__type(value, struct ipmp_feed);
} feeds SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, IPMP_MEMBERS);
	__type(key, __u32);
	__type(value, struct ipmp_traffic);
} traffic SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, IPMP_R_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

#endif
