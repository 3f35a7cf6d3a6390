// SPDX-License-Identifier: Apache-2.0

package bpf

// The structs of ipmp.h, as bpf2go carried them over. Fields are documented there.
type (
	Addr      = timerIpmpAddr
	Cast      = timerIpmpCast
	Event     = timerIpmpEvent
	Feed      = timerIpmpFeed
	Instance  = timerIpmpInstance
	Member    = timerIpmpMember
	Owner     = timerIpmpOwner
	Payload   = timerIpmpPayload
	Round     = timerIpmpRound
	Slot      = timerIpmpSlot
	Survivors = timerIpmpSurvivors
	Target    = timerIpmpTarget
	Track     = timerIpmpTrack
	Traffic   = timerIpmpTraffic
	Wire      = timerIpmpWire
	Reason    = timerIpmpReason
)

// Limits of ipmp.h.
const (
	Layout       = uint32(timerIpmpLayoutIPMP_LAYOUT) + layoutOffset
	Groups       = int(timerIpmpLimitIPMP_GROUPS)
	GroupMembers = int(timerIpmpLimitIPMP_GROUP_MEMBERS)
	Members      = int(timerIpmpLimitIPMP_MEMBERS)
	Families     = int(timerIpmpLimitIPMP_FAMILIES)
	Instances    = int(timerIpmpLimitIPMP_INSTANCES)
	Tracks       = int(timerIpmpLimitIPMP_TRACKS)
	Window       = int(timerIpmpLimitIPMP_WINDOW)
	WindowMask   = uint32(timerIpmpLimitIPMP_WINDOW_MASK)
	NearMask     = uint32(timerIpmpLimitIPMP_NEAR_MASK)
	Targets      = int(timerIpmpLimitIPMP_TARGETS)
	Tests        = int(timerIpmpLimitIPMP_TESTS)
	Feeds        = int(timerIpmpLimitIPMP_FEEDS)
	Addresses    = int(timerIpmpLimitIPMP_ADDRESSES)
)

// Values of ipmp.h.
const (
	KindNone     = uint32(timerIpmpKindIPMP_KIND_NONE)
	KindICMP     = uint32(timerIpmpKindIPMP_KIND_ICMP)
	KindARP      = uint32(timerIpmpKindIPMP_KIND_ARP)
	TakesBoth    = uint32(timerIpmpInstanceFlagIPMP_TAKES_BOTH)
	Monitored    = uint8(timerIpmpMemberFlagIPMP_MEMBER_MONITOR)
	ProbeMagic   = uint32(timerIpmpProbeIPMP_PROBE_MAGIC)
	EventVerdict = uint32(timerIpmpEventKindIPMP_EVENT_VERDICT)
	EventLast    = uint32(timerIpmpEventKindIPMP_EVENT_LAST)
	Reasons      = int(timerIpmpReasonIPMP_R_MAX)
)

// InstanceNumber is the index into the maps instances and survivors.
func InstanceNumber(member, family int) int { return member*Families + family }

// TrackNumber is the index into the map tracks.
func TrackNumber(group, family int) int { return group*Families + family }
