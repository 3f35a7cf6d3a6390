// SPDX-License-Identifier: Apache-2.0

package control

import "encoding/json"

// DefaultSocket is where a daemon listens that was told nothing else.
const DefaultSocket = "/run/ipmpd/ipmpd.sock"

// Status is the answer to GET /v1/status: everything, as it is now.
// A nil number is one that is not known; it is null in JSON.
type Status struct {
	Version string `json:"version"`
	// HeartbeatAgeNS is how long ago the prober last went round.
	HeartbeatAgeNS *int64          `json:"heartbeat_age_ns"`
	Groups         List[Group]     `json:"groups"`
	Monitor        List[Interface] `json:"monitor"`
}

// Group is one group, its members and addresses in the order of the file.
type Group struct {
	Name     string `json:"name"`
	State    string `json:"state"` // ok, degraded, failed
	Failback bool   `json:"failback"`
	// DetectionTimeNS is the configured time, AchievableDetectionTimeNS what
	// loss, RTT and the jitter of this host allow now.
	DetectionTimeNS           int64                `json:"detection_time_ns"`
	AchievableDetectionTimeNS *int64               `json:"achievable_detection_time_ns"`
	Interfaces                List[Interface]      `json:"interfaces"`
	Addresses                 List[Address]        `json:"addresses"`
	Routes                    List[Route]          `json:"routes"`
	ForeignAddresses          List[ForeignAddress] `json:"foreign_addresses"`
	// ForeignRoutes are the first 100 of those through a member that do not follow the group;
	// ForeignRouteCount is how many there are.
	ForeignRoutes     List[ForeignRoute] `json:"foreign_routes"`
	ForeignRouteCount int                `json:"foreign_route_count"`
}

// Interface is a member. The fields that Family has too are those of the
// worse family; Active is true where either family's is. SetFamilies fills
// them in.
type Interface struct {
	Name          string       `json:"name"`
	State         string       `json:"state"` // ok, failed, offline, unknown, missing
	Active        bool         `json:"active"`
	Standby       bool         `json:"standby"`
	Link          string       `json:"link"`       // up, down, unknown
	Probe         string       `json:"probe"`      // ok, failed, unknown, disabled
	ProbeKind     string       `json:"probe_kind"` // icmp, arp, link
	Note          string       `json:"note"`
	Attach        string       `json:"attach"` // xdp, xdp-generic, tcx, clsact or nothing
	Cause         string       `json:"cause"`
	Flaps         uint64       `json:"flaps"`
	Index         *int         `json:"index"` // of the host; nil: it does not exist
	MTU           *int         `json:"mtu"`
	MAC           string       `json:"mac"`
	TestAddresses List[string] `json:"test_addresses"`
	// ProbesFrom is the source of the probes, TargetsFrom where the targets are from (config, routes,
	// multicast, neighbours); by family, of those that are probed.
	ProbesFrom   Words        `json:"probes_from"`
	TargetsFrom  Words        `json:"targets_from"`
	Targets      List[string] `json:"targets"`
	RTTP50NS     *int64       `json:"rtt_p50_ns"` // over the last 1,000 rounds
	RTTP99NS     *int64       `json:"rtt_p99_ns"`
	RoundsSent   *uint64      `json:"rounds_sent"`
	RoundsMissed *uint64      `json:"rounds_missed"`
	Families     Families     `json:"families"`
}

// Family is what is known of a member in one address family.
type Family struct {
	State        string       `json:"state"`
	Active       bool         `json:"active"`
	Probe        string       `json:"probe"`
	Targets      List[string] `json:"targets"`
	RTTP50NS     *int64       `json:"rtt_p50_ns"`
	RTTP99NS     *int64       `json:"rtt_p99_ns"`
	RoundsSent   *uint64      `json:"rounds_sent"`
	RoundsMissed *uint64      `json:"rounds_missed"`
}

// Families has the keys ipv4 and ipv6; one that the group does not use may be
// left out. It is {} in JSON when nil.
type Families map[string]Family

// MarshalJSON writes a nil map as {}.
func (f Families) MarshalJSON() ([]byte, error) {
	if f == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]Family(f))
}

// Words has the keys ipv4 and ipv6. It is {} in JSON when nil.
type Words map[string]string

// MarshalJSON writes a nil map as {}.
func (w Words) MarshalJSON() ([]byte, error) {
	if w == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]string(w))
}

// Address is a data address.
type Address struct {
	Address   string `json:"address"` // with its length: 192.0.2.10/24
	State     string `json:"state"`   // up, down
	Interface string `json:"interface"`
	Home      string `json:"home"`
}

// Route is a route that ipmpd keeps over the group's members.
type Route struct {
	To         string       `json:"to"`
	Via        string       `json:"via"` // nothing: on link
	Interfaces List[string] `json:"interfaces"`
	Origin     string       `json:"origin"` // config, adopted
}

// ForeignAddress is an address on a member that the file does not name and
// ipmpd did not make. It stays where it is.
type ForeignAddress struct {
	Address   string `json:"address"`
	Interface string `json:"interface"`
}

// ForeignRoute is a route through a member that stays as it is.
type ForeignRoute struct {
	To         string       `json:"to"`
	Via        List[string] `json:"via"`
	Interfaces List[string] `json:"interfaces"`
	Table      uint32       `json:"table"`
	Metric     uint32       `json:"metric"`
	Why        string       `json:"why"`
}
