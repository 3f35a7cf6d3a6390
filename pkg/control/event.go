// SPDX-License-Identifier: Apache-2.0

package control

import "time"

// The events that a daemon sends (contract section 4).
const (
	EventGroupState           = "group-state"
	EventInterfaceState       = "interface-state"
	EventAddressMoved         = "address-moved"
	EventVerdict              = "verdict"
	EventDetectionTimeAdapted = "detection-time-adapted"
	EventConfigReloaded       = "config-reloaded"
	EventTargetChanged        = "target-changed"
	EventTargetPoliced        = "target-policed"
	EventAddressDuplicate     = "address-duplicate"
	EventDriftRepaired        = "drift-repaired"
	EventStepFailed           = "step-failed"
	EventGap                  = "gap"
)

// Event is one line of GET /v1/events. What does not apply is empty.
type Event struct {
	Time      time.Time `json:"time"`
	Event     string    `json:"event"`
	Group     string    `json:"group"`
	Interface string    `json:"interface"`
	Family    string    `json:"family"` // ipv4, ipv6, both or nothing
	Address   string    `json:"address"`
	Detail    string    `json:"detail"` // for states: the state
	// Lost is how many events a gap stands for; only in EventGap.
	Lost uint64 `json:"lost,omitempty"`
}

// StateEvents describes s as events: one for each group and each interface.
func (s *Status) StateEvents(now time.Time) []Event {
	var events []Event
	interfaces := func(group string, list []Interface) {
		for _, i := range list {
			events = append(events, Event{Time: now, Event: EventInterfaceState, Group: group, Interface: i.Name, Detail: i.State})
		}
	}
	for _, g := range s.Groups {
		events = append(events, Event{Time: now, Event: EventGroupState, Group: g.Name, Detail: g.State})
		interfaces(g.Name, g.Interfaces)
	}
	interfaces("", s.Monitor)
	return events
}
