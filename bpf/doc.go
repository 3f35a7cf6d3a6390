// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the BPF programs of ipmpd and loads them. The programs recognise probe
// replies, count rounds, suspect, confirm and take the verdict (docs: detection.md sections 1 and
// 2); they switch a failed member's outbound traffic and its ARP answers. They hold no policy: what
// is judged, and by which limit, is written into their maps by pkg/detect and cmd/ipmpd.
//
// ipmp.h is the one contract between the programs and Go. Instances and Tracks are shared memory:
// each field has one writer, named there, and is read and written with sync/atomic where the other
// side may be at work.
package bpf
