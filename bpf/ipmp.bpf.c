//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "maps.h"

SEC("tcx/ingress")
int ipmp_ingress(struct __sk_buff *skb)
{
	__u32 k = 0;
	bpf_map_lookup_elem(&links, &k); bpf_map_lookup_elem(&members, &k);
	bpf_map_lookup_elem(&instances, &k); bpf_map_lookup_elem(&tracks, &k);bpf_map_lookup_elem(&survivors, &k);
	bpf_map_lookup_elem(&owners, &k);bpf_map_lookup_elem(&traffic, &k);bpf_map_lookup_elem(&counters, &k);
	void *p = bpf_ringbuf_reserve(&events, 64, 0);
	if (p) bpf_ringbuf_discard(p, 0);
	(void)skb;
	return -1;
}
/* Types that no map names reach BTF, and so Go, by a pointer to them. The loader drops the map. */
const struct ipmp_event *export_event __attribute__((unused));
const struct ipmp_payload *export_payload __attribute__((unused));
const enum ipmp_layout *export_layout __attribute__((unused));
const enum ipmp_limit *export_limit __attribute__((unused));
const enum ipmp_family *export_family __attribute__((unused));
const enum ipmp_kind *export_kind __attribute__((unused));
const enum ipmp_instance_flag *export_instance_flag __attribute__((unused));
const enum ipmp_probe *export_probe __attribute__((unused));
const enum ipmp_event_kind *export_event_kind __attribute__((unused));
const enum ipmp_reason *export_reason __attribute__((unused));

char _license[] SEC("license") = "Dual BSD/GPL";
