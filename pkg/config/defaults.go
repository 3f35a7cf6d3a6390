// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"time"
)

// The limits of contract section 3. Those of groups, members, addresses and targets are also the
// sizes of the BPF maps (bpf/ipmp.h).
const (
	maxGroups           = 64
	maxGroupMembers     = 32
	maxMembers          = 256
	maxAddresses        = 4096
	maxTargets          = 16
	maxTestAddresses    = 8 // of one family of one member
	minInterval         = 50 * time.Microsecond
	maxGroupName        = 31
	maxInterfaceName    = 15      // IFNAMSIZ with its NUL
	maxFile             = 4 << 20 // ten times what all limits together need
	maxCPU              = 1023    // CPU_SETSIZE
	linkHoldDown        = 5 * time.Second
	minDetectionTime    = 100 * time.Microsecond
	maxDetectionTime    = 60 * time.Second
	maxMisses           = 50
	maxRepair           = 10000
	maxFlapLimit        = 10000
	maxPriority         = 98 // 99 is the kernel's own (migration, watchdog)
	maxAnnounceCount    = 1000
	minAnnounceInterval = time.Millisecond
	maxAnnounceRate     = 1_000_000
	maxPrograms         = 16 // one after the other, 10 s each
)

// defaults is the file that says nothing.
func defaults() Config {
	return Config{
		LogLevel: slog.LevelInfo,
		// Above the load (a FIFO priority below it is worse than none), below the kernel's own
		// threads of 99 and what operators put on top.
		Realtime: Realtime{Priority: 50},
	}
}

// groupDefaults is the group that says nothing but its name.
func groupDefaults(name string, pos Pos) Group {
	return Group{
		Pos:  pos,
		Name: name,
		// A hundred times quicker than Solaris, and with rounds of 25 ms so sparing that no
		// switch, target or battery minds. Less is the operator's word.
		DetectionTime: 100 * time.Millisecond,
		// One lost probe is weather, two may be a burst; the loss-aware limit raises it
		// (detection.md section 1).
		Misses: 3,
		Adapt:  true, // an overloaded host must not fail over
		Repair: 10,   // in.mpathd: ten consecutive answers
		// Probes prove that a member works, so nothing more is waited for. Carrier alone proves
		// little: fillDefaults makes it 5 s with `probe: link`.
		HoldDown:  0,
		FlapLimit: 2,    // in.mpathd: the third link-up within a minute waits
		Failback:  true, // FAILBACK=yes of /etc/default/mpathd
		Probe:     ProbeAuto,
		Attach:    AttachAuto,
		// A doubled address is worse than 500 ms at the first start; failover does not wait.
		DuplicateCheck: true,
		Multicast:      MulticastFailover,
		// One announcement can be lost, and then the outage is a minute (detection.md section
		// 7); switches shut ports that burst.
		Announce: Announce{Count: 5, Interval: time.Second, Rate: 1000, Refresh: 0},
		Force:    false,
		Spread:   SpreadOn, // what IPMP has always done with outgoing traffic
	}
}

// fillDefaults sets what depends on other keys; holdDown says whether the file gave one.
func fillDefaults(g *Group, holdDown bool) {
	if g.Probe == ProbeLink && !holdDown {
		g.HoldDown = linkHoldDown
	}
}
