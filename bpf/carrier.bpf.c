//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Has an interface carrier, and does the kernel send over it? RTM_GETLINK and IFLA_CARRIER say so
 * too, but wait for RTNL, which whoever takes the other end of a cable down may hold for a long
 * time. This program, run by PROG_TEST_RUN with the interface in its context, reads what
 * IFLA_CARRIER is made of, without any lock. It needs bpf_cast_to_kern_ctx (Linux 6.2); without it
 * the question goes by netlink.
 *
 * The driver sets the carrier. The kernel's linkwatch, which waits for RTNL too, then puts the
 * queue in place that was there before the link went down; until it has, what is sent is dropped.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

enum carrier_answer {
	CARRIER_DOWN,
	CARRIER_UP,
	CARRIER_NO_DEVICE,
	CARRIER_NO_QUEUE, /* there is carrier, but what is sent is dropped */
};

enum device_flag {
	DEVICE_UP = 1, /* IFF_UP: some drivers keep the carrier of an interface that is down */
};

/* As much of the kernel's types as is read; their offsets come from its BTF. */
enum netdev_state_t {
	__LINK_STATE_NOCARRIER = 2,
};

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded"
struct Qdisc;

struct netdev_queue {
	struct Qdisc *qdisc;
	struct Qdisc *qdisc_sleeping;
} __attribute__((preserve_access_index));

struct net_device {
	unsigned long state;
	unsigned int flags;
	struct netdev_queue *_tx;
} __attribute__((preserve_access_index));

struct sk_buff {
	struct net_device *dev;
} __attribute__((preserve_access_index));
#pragma clang diagnostic pop

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;

SEC("tc")
int ipmp_carrier(struct __sk_buff *ctx)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	struct net_device *dev = skb->dev;
	struct netdev_queue *queue;

	if (!dev)
		return CARRIER_NO_DEVICE;
	if (dev->state >> bpf_core_enum_value(enum netdev_state_t, __LINK_STATE_NOCARRIER) & 1 ||
	    !(dev->flags & DEVICE_UP))
		return CARRIER_DOWN;
	queue = dev->_tx; /* they are put in place all at once */
	return queue->qdisc == queue->qdisc_sleeping ? CARRIER_UP : CARRIER_NO_QUEUE;
}

const enum carrier_answer *export_answer __attribute__((unused));

char _license[] SEC("license") = "Dual BSD/GPL";
