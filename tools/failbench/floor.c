//go:build ignore

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The floor: the smallest loop that sends what the prober sends, at the same ticks. What ipmpd
 *costs is compared with it. It hears nothing and judges nothing.
 *
 *	floor INTERVAL_NS SECONDS PRIORITY TARGET_MAC TARGET_IPV4 INTERFACE=SOURCE_IPV4...
 *
 * It runs in the present network namespace, and prints rounds, ticks that it was too late for, its
 * CPU time and its lateness, all in ns, as KEY=NUMBER.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	MEMBERS = 256,
	LATENESS = 1 << 20, /* samples that are kept: the newest */
	FRAME = 60,
	AT_IP = 14,
	AT_ICMP = 34,
	SEND_BUFFER = 64 << 20,
};

static uint8_t frames[MEMBERS][FRAME];
static uint32_t sums[MEMBERS];
static struct sockaddr_ll to[MEMBERS];
static struct iovec vectors[MEMBERS];
static struct mmsghdr messages[MEMBERS];
static uint32_t lateness[LATENESS];

static void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint32_t sum16(const uint8_t *b, int n)
{
	uint32_t sum = 0;

	for (int i = 0; i < n; i += 2)
		sum += b[i] << 8 | b[i + 1];
	return sum;
}

static void put16(uint8_t *b, uint16_t v)
{
	b[0] = v >> 8;
	b[1] = v;
}

static void put32(uint8_t *b, uint32_t v)
{
	put16(b, v >> 16);
	put16(b + 2, v);
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	sum += sum >> 16;
	return ~sum;
}

static int64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The frame of member i, but for what changes from round to round: as pkg/detect/probe has it. */
static void build(int fd, int i, char *member, const uint8_t *mac, struct in_addr target)
{
	uint8_t *b = frames[i], *ip = b + AT_IP, *icmp = b + AT_ICMP;
	char *address = strchr(member, '=');
	struct ifreq request = {};
	struct in_addr source;

	if (!address || address - member >= IFNAMSIZ || !inet_aton(address + 1, &source)) {
		errno = EINVAL;
		die(member);
	}
	memcpy(request.ifr_name, member, address - member);
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		die(member);
	memcpy(b, mac, 6);
	memcpy(b + 6, request.ifr_hwaddr.sa_data, 6);
	put16(b + 12, ETHERTYPE_IP);
	ip[0] = 0x45;
	ip[1] = 0xc0;
	put16(ip + 2, 44);
	put16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = IPPROTO_ICMP;
	memcpy(ip + 12, &source, 4);
	memcpy(ip + 16, &target, 4);
	put16(ip + 10, fold(sum16(ip, 20)));
	icmp[0] = 8;
	put16(icmp + 4, 0xf100 + i);
	put32(icmp + 8, 0x666c6f6f);
	sums[i] = sum16(icmp, 24);

	if (ioctl(fd, SIOCGIFINDEX, &request))
		die(member);
	to[i] = (struct sockaddr_ll){.sll_family = AF_PACKET,
				     .sll_protocol = htons(ETH_P_IP),
				     .sll_ifindex = request.ifr_ifindex,
				     .sll_halen = 6};
	memcpy(to[i].sll_addr, mac, 6);
	vectors[i] = (struct iovec){b, FRAME};
	messages[i].msg_hdr = (struct msghdr){.msg_name = &to[i],
					      .msg_namelen = sizeof(to[i]),
					      .msg_iov = &vectors[i],
					      .msg_iovlen = 1};
}

static void patch(int i, uint32_t round, uint64_t nonce)
{
	uint8_t *icmp = frames[i] + AT_ICMP;

	put16(icmp + 6, round);
	put32(icmp + 12, round);
	memcpy(icmp + 16, &nonce, 8);
	put16(icmp + 2, fold(sums[i] + (round & 0xffff) + (round >> 16) + (round & 0xffff) +
			     sum16(icmp + 16, 8)));
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void report(uint32_t rounds, uint64_t skipped, int64_t cpu, int64_t took)
{
	uint32_t n = rounds < LATENESS ? rounds : LATENESS;

	qsort(lateness, n, sizeof(*lateness), by_size);
	printf("rounds=%u skipped=%llu cpu_ns=%lld took_ns=%lld late_p50_ns=%u late_p99_ns=%u "
	       "late_max_ns=%u\n",
	       rounds, (unsigned long long)skipped, (long long)cpu, (long long)took,
	       lateness[n / 2], lateness[n * 99ULL / 100], lateness[n - 1]);
}

int main(int argc, char **argv)
{
	int64_t interval, end, next, begun, cpu;
	struct sched_param fifo = {};
	unsigned int octets[6];
	uint64_t nonce = now(CLOCK_MONOTONIC), skipped = 0;
	uint32_t round = 0;
	struct in_addr target;
	int fd, on = 1, buffer = SEND_BUFFER, members = argc - 6;
	uint8_t mac[6];

	if (members < 1 || members > MEMBERS || !inet_aton(argv[5], &target) ||
	    sscanf(argv[4], "%x:%x:%x:%x:%x:%x", &octets[0], &octets[1], &octets[2], &octets[3],
		   &octets[4], &octets[5]) != 6) {
		fputs("usage: floor INTERVAL_NS SECONDS PRIORITY TARGET_MAC TARGET_IPV4 "
		      "INTERFACE=SOURCE_IPV4...\n",
		      stderr);
		return 2;
	}
	for (int i = 0; i < 6; i++)
		mac[i] = octets[i];
	interval = atoll(argv[1]);
	fifo.sched_priority = atoi(argv[3]);
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)))
		die("packet socket");
	for (int i = 0; i < members; i++)
		build(fd, i, argv[6 + i], mac, target);
	if (prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0))
		die("timer slack");
	if (fifo.sched_priority && sched_setscheduler(0, SCHED_FIFO, &fifo))
		die("SCHED_FIFO");

	begun = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	end = begun + (int64_t)(atof(argv[2]) * 1e9);
	next = begun - begun % interval + interval;
	while (next < end) {
		struct timespec at = {next / 1000000000, next % 1000000000};
		int64_t late, ticks;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		late = now(CLOCK_MONOTONIC) - next;
		lateness[round++ % LATENESS] = late;
		ticks = 1 + late / interval + (late % interval > interval / 2);
		skipped += ticks - 1;
		next += ticks * interval;
		nonce = nonce * 6364136223846793005 + 1442695040888963407;
		for (int i = 0; i < members; i++)
			patch(i, round, nonce);
		for (int sent = 0, n; sent < members; sent += n) {
			n = sendmmsg(fd, messages + sent, members - sent, MSG_DONTWAIT);
			if (n < 1)
				die("send");
		}
	}
	report(round, skipped, now(CLOCK_PROCESS_CPUTIME_ID) - cpu, now(CLOCK_MONOTONIC) - begun);
	return 0;
}
