// SPDX-License-Identifier: Apache-2.0

// Package check judges a host for `ipmpd check`: what of it stands in the way of a configuration,
// what will be lost when an address moves, and what to do about it.
//
//	cmd/ipmpd reads the host ──► facts ──► Kernel, Rights, Rules ... ──► []Finding ──► text
//
// It is pure: no I/O, no clock; the parsers take bytes that others have read. Every function is
// safe for concurrent use. It never judges the file, nor what pkg/config says of links.
package check
