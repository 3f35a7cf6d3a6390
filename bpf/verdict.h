/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Suspicion, confirmation and verdict (detection.md sections 1 and 2).
 *
 * A sibling's reply is the clock: judge() is called for every usable member of the track but the
 * one that replied. A suspicion is confirmed a moment later (confirm_timer.h or confirm_tick.h),
 * when the receive queues that a stall had filled are drained.
 */
#ifndef IPMP_VERDICT_H
#define IPMP_VERDICT_H

#include "count.h"
#include "guard.h"

enum verdict_limit {
	VERDICT_RACES = 8,	   /* compare-and-exchange attempts */
	VERDICT_RENEW_ROUNDS = 16, /* a suspicion that nobody confirmed is renewed after so many */
	VERDICT_RENEW_NS = 10000000, /* rounds and this long */
};

/*
 * Starts the confirmation of a suspicion, delay ns from now; false: nothing will come of it. One of
 * two makers provides it.
 */
static __always_inline bool confirm_later(__u32 instance, __u64 delay);
/* After how many more answered rounds a judgement starts the confirmation again, or confirms. */
static __always_inline __u32 confirm_rounds(void);
/*
 * To be called after a call of ipmp_confirm, with what is never true: the verifier of 6.1 walks
 * the calls last to first, and has to meet the timer's callback before the function that it calls
 * and that sets it again, or it takes the two for a recursion.
 */
static __always_inline void confirm_anchor(bool never);
/* How long after the suspicion a confirmation may come at the earliest. */
static __always_inline __u64 confirm_patience(struct ipmp_track *track, __u32 stage);

/* Clears a bit of the word, only if another of the fit ones stays; returns the word that it
 * changed, or 0.
 */
static __always_inline __u64 take_out(struct ipmp_track *track, __u32 bit, __u32 fit)
{
	for (int i = 0; i < VERDICT_RACES; i++) {
		__u64 old = track->word;
		__u32 usable = (__u32)old;

		if (!(usable & bit) || !(usable & fit & ~bit))
			return 0;
		if (__sync_val_compare_and_swap(&track->word, old, old & ~(__u64)bit) == old)
			return old;
	}
	count(IPMP_R_RACED);
	return 0;
}

/* What a verdict tells, but for what the word said. */
struct finding {
	struct ipmp_member *member;
	struct ipmp_instance *inst;
	struct misses *misses;
	__u64 word; /* before */
	__u32 instance;
	__u8 kind;
	__u8 both;
	__u8 pad[2];
};

static __always_inline void tell(struct finding *f)
{
	struct ipmp_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(IPMP_R_RING_FULL);
		return;
	}
	event->kind = f->kind;
	event->group = f->member->group;
	event->member = f->instance / IPMP_FAMILIES;
	event->family = f->instance % IPMP_FAMILIES;
	event->bit = f->member->bit;
	event->both = f->both;
	event->guarded = f->inst->stage == IPMP_STAGE_WAITED;
	event->generation = f->word >> 32;
	event->usable = (__u32)f->word;
	if (f->kind == IPMP_EVENT_VERDICT)
		event->usable &= ~(1U << (f->member->bit & 31));
	event->round = f->misses->newest;
	event->acked = f->inst->acked;
	event->misses = f->misses->count;
	event->limit = f->inst->limit;
	event->pad = 0;
	event->last_reply_ns = f->inst->last_reply_ns;
	event->suspected_ns = f->inst->suspected_ns;
	event->verdict_ns = bpf_ktime_get_ns();
	/* The reader sleeps, and this is what it waits for. */
	bpf_ringbuf_submit(event, BPF_RB_FORCE_WAKEUP);
}

/* Ends a suspicion, for whatever reason. */
static __always_inline void acquit(struct ipmp_instance *inst, enum ipmp_reason reason)
{
	inst->suspect = 0;
	inst->stage = IPMP_STAGE_NONE;
	count(reason);
}

/* The loops of a confirmation run one after the other; the stack of the whole call chain is 512
 * bytes.
 */
union confirmation {
	struct cpu_look look;
	struct answering answering;
	struct survey survey;
};

/* First sign of trouble. */
static __always_inline void suspect(struct ipmp_instance *inst, struct misses *m)
{
	inst->suspected_ns = m->now;
	inst->suspect = m->newest;
	inst->stage = IPMP_STAGE_SUSPECTED;
	inst->suspicions++;
	count(IPMP_R_SUSPECT);
}

/*
 * The second look at a suspect: clear it, wait once, or take the verdict. By timer also the first
 * look at a member whose last misses were not due yet when judge() looked (see there).
 */
__noinline int ipmp_confirm(__u32 instance)
{
	__u32 number = instance / IPMP_FAMILIES, family = instance % IPMP_FAMILIES, track_key, bit;
	struct ipmp_instance *inst = bpf_map_lookup_elem(&instances, &instance);
	struct ipmp_member *member = bpf_map_lookup_elem(&members, &number);
	struct ipmp_track *track;
	struct misses m = {};
	union confirmation u = {};
	struct survey *s = &u.survey;
	struct finding f = {};
	bool pending;

	if (!inst || !member) {
		count(IPMP_R_LOOKUP);
		return 0;
	}
	/* What was told is renewed by judge(), or every tick would tell it again. */
	pending = !inst->suspect;
	if (inst->stage == IPMP_STAGE_TOLD || (pending && confirm_rounds() == 1))
		return 0;
	track_key = member->group * IPMP_FAMILIES + family;
	track = bpf_map_lookup_elem(&tracks, &track_key);
	if (!track) {
		count(IPMP_R_LOOKUP);
		return 0;
	}
	m.track = track;
	m.inst = inst;
	m.now = bpf_ktime_get_ns();
	if (!pending &&
	    (__s64)(m.now - inst->suspected_ns - confirm_patience(track, inst->stage)) < 0)
		return 0;
	count_misses(&m);
	if (!inst->limit || m.count < inst->limit) {
		if (!pending)
			acquit(inst, IPMP_R_CLEARED);
		return 0;
	}
	if (pending)
		suspect(inst, &m);
	if (inst->stage != IPMP_STAGE_WAITED &&
	    (!answers_on_time(&m) || !reply_cpus_ran(&m, family, &u.look))) {
		inst->stage = IPMP_STAGE_WAITED;
		count(IPMP_R_GUARD_CPU);
		confirm_later(instance, track->interval_ns);
		return 0;
	}
	if (!enough_targets(&m, &u.answering)) {
		acquit(inst, IPMP_R_GUARD_TARGETS);
		return 0;
	}
	bit = 1U << (member->bit & 31);
	s->fit = 0;
	s->track = track;
	s->family = family;
	s->bit = member->bit;
	s->usable = (__u32)track->word;
	s->missed = inst->recent_missed + m.count;
	s->behind = track->newest - inst->acked;
	s->run = m.count;
	bpf_loop(IPMP_GROUP_MEMBERS, survey_sibling, s, 0);

	f.member = member;
	f.inst = inst;
	f.misses = &m;
	f.instance = instance;
	f.word = take_out(track, bit, s->fit);
	if (!f.word) {
		f.word = track->word;
		if (s->usable & ~bit) {
			/* Others are usable, but none is clearly better: go on judging. */
			acquit(inst, IPMP_R_GUARD_SURVIVOR);
			return 0;
		}
		if (!(s->usable & bit)) {
			acquit(inst, IPMP_R_CLEARED);
			return 0;
		}
		/* The suspicion stands, so that this is told once; judge() renews it. */
		f.kind = IPMP_EVENT_LAST;
		count(IPMP_R_LAST);
		tell(&f);
		inst->stage = IPMP_STAGE_TOLD;
		inst->suspected_ns = m.now;
		return 0;
	}
	if (inst->flags & IPMP_TAKES_BOTH) {
		track_key ^= 1;
		track = bpf_map_lookup_elem(&tracks, &track_key);
		if (track && take_out(track, bit, s->fit))
			f.both = 1;
	}
	f.kind = IPMP_EVENT_VERDICT;
	tell(&f);
	acquit(inst, IPMP_R_VERDICT);
	return 0;
}

/* How long to wait for the pending misses: at least a sixteenth of a round, for the end of a send.
 */
static __always_inline __u64 pending_delay(struct misses *m, struct ipmp_track *track)
{
	__s64 delay = m->pending_due_ns - m->now, least = track->interval_ns / 16;

	return delay > least ? delay : least;
}

/* First look at one usable member of a track, when a sibling has replied. Returns the number of the
 * instance, plus one, if it is to be confirmed now; the caller does, for the sake of the stack.
 */
__noinline int ipmp_judge(__u32 track_key, __u32 bit, __u64 now)
{
	struct ipmp_track *track = bpf_map_lookup_elem(&tracks, &track_key);
	struct ipmp_instance *inst;
	struct misses m = {};
	__u64 begun;
	__u32 key;

	if (!track) {
		count(IPMP_R_LOOKUP);
		return 0;
	}
	key = track->member[bit & (IPMP_GROUP_MEMBERS - 1)] * IPMP_FAMILIES + (track_key & 1);
	inst = bpf_map_lookup_elem(&instances, &key);
	if (!inst) {
		count(IPMP_R_LOOKUP);
		return 0;
	}
	if (!inst->limit)
		return 0;
	m.track = track;
	m.inst = inst;
	m.now = now;
	count_misses(&m);
	if (m.count < inst->limit) {
		if (inst->suspect && (inst->stage == IPMP_STAGE_TOLD || confirm_rounds() == 1))
			acquit(inst, IPMP_R_CLEARED);
		/*
		 * Do not wait for the next round when all that is missing is that the last misses
		 * become due: look again at that very moment.
		 */
		if (!inst->suspect && m.pending && m.count + m.pending >= inst->limit)
			confirm_later(key, pending_delay(&m, track));
		return 0;
	}
	if (inst->suspect && inst->stage != IPMP_STAGE_TOLD) {
		/*
		 * Rounds begun before the suspicion say nothing new: after a stall their replies
		 * come out of the same queue, in one go.
		 */
		begun = track->round[m.newest & IPMP_WINDOW_MASK].begun_ns;
		if ((__s64)(begun - inst->suspected_ns) > 0 &&
		    newer(m.newest, inst->suspect + confirm_rounds() - 1) && !confirm_later(key, 0))
			return key + 1;
		return 0;
	}
	/* Told before: again only after a while, or when another member has become usable. */
	if (inst->suspect && !((__u32)track->word & ~(1U << (bit & 31)))) {
		__s64 age = now - inst->suspected_ns;

		if (age < VERDICT_RENEW_NS ||
		    age < (__s64)VERDICT_RENEW_ROUNDS * track->interval_ns)
			return 0;
	}
	suspect(inst, &m);
	confirm_later(key, 0);
	return 0;
}

#endif
