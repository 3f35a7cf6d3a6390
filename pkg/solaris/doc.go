// SPDX-License-Identifier: Apache-2.0

// Package solaris draws the daemon's status as the commands of Solaris did: ipmpstat (spec section
// 7.1) and ifconfig -a (section 8.1).
//
//	control.Status ──► Stat ──► Table ──► ipmpstat -a -g -i -t
//	control.Probe  ──►  "   ──►   "   ──► ipmpstat -p
//	control.Status ──► Ifconfig        ──► ipmpd ifconfig
//
// It is pure: it asks no daemon and no host, and knows of ipmpd only the wire types, as any other
// reader of the control socket does. What means something else on Linux is said in docs/migration.md.
// A Stat belongs to one goroutine.
package solaris
