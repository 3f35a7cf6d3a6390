// SPDX-License-Identifier: Apache-2.0

// Package group is what IPMP means: members, standby, failback, placement, group failure, and what
// the failure of each member would do. It is pure: no I/O, no goroutines, no clock.
//
//	findings (pkg/detect), operator ──► Event ──► Step ──► []Action ──► words, addresses, history
//	                                               │
//	                                               └── the same code on a copy: Contingency
//
// Step has four parts, one file each: the event changes what is known of a member (member.go);
// from that follow its states; the active members follow from those that are usable (active.go,
// spec 5.4); the addresses follow the active members (place.go); the difference to what was
// before is written down (record.go).
//
// A Group belongs to one goroutine. All indexes are file order: members and addresses are named by
// their place in Config.
package group
