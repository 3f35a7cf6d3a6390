// SPDX-License-Identifier: Apache-2.0

// Package fakehost is a host that is made up: what pkg/addr's Applier writes to in place of a kernel
// (addr.Kernel). It understands the netlink messages, has the effects that Linux was seen to have
// (addr.Rehearsal), keeps its state, and can be told to fail. Others than ipmpd change it by its methods.
//
// Only tests import it.
package fakehost
