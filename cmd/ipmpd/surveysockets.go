// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/check"
)

// Sizes of struct inet_diag_req_v2 and struct inet_diag_msg.
const (
	sizeofDiagRequest = 56
	sizeofDiagMessage = 72
)

// diagStates are all of TCP's but TIME_WAIT and NEW_SYN_RECV, which are no sockets; other protocols
// use some of the numbers too.
const diagStates = 0xfff &^ (1 << 6)

// boundSockets are those that are bound to one of the members (SO_BINDTODEVICE), ours left out.
func boundSockets(members map[int]string) ([]check.Socket, error) {
	var list []check.Socket
	var inodes []uint32
	var errs []error
	for _, p := range []struct {
		name     string
		protocol byte
	}{{"tcp", unix.IPPROTO_TCP}, {"udp", unix.IPPROTO_UDP}, {"raw", unix.IPPROTO_RAW}} {
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			messages, err := diag(family, p.protocol)
			if errors.Is(err, unix.ENOENT) {
				err = fmt.Errorf("this kernel does not list them by device (CONFIG_INET_%s_DIAG)", strings.ToUpper(p.name))
			}
			if err != nil && family == unix.AF_INET {
				errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
			}
			for _, m := range messages {
				s, ifindex, inode, ok := parseDiag(m)
				if member := members[ifindex]; ok && member != "" {
					s.Member, s.Protocol = member, p.name
					list, inodes = append(list, s), append(inodes, inode)
				}
			}
		}
	}
	if len(list) == 0 {
		return nil, errors.Join(errs...)
	}
	owners := socketOwners()
	others := list[:0]
	for i, s := range list {
		s.Owner = owners[inodes[i]]
		if !strings.HasPrefix(s.Owner, "ipmpd (") {
			others = append(others, s)
		}
	}
	return others, errors.Join(errs...)
}

// diag lists the sockets of a family and protocol in this network namespace.
func diag(family, protocol byte) ([][]byte, error) {
	body := make([]byte, sizeofDiagRequest)
	body[0], body[1] = family, protocol
	binary.NativeEndian.PutUint32(body[4:], diagStates)
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	req.AddRawData(body)
	return req.Execute(unix.NETLINK_SOCK_DIAG, 0)
}

// parseDiag reads struct inet_diag_msg.
func parseDiag(b []byte) (s check.Socket, ifindex int, inode uint32, ok bool) {
	if len(b) < sizeofDiagMessage {
		return s, 0, 0, false
	}
	at := func(address []byte, port []byte) netip.AddrPort {
		size := 4
		if b[0] == unix.AF_INET6 {
			size = 16
		}
		a, _ := netip.AddrFromSlice(address[:size])
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
	}
	s.Local, s.Remote = at(b[8:24], b[4:6]), at(b[24:40], b[6:8])
	return s, int(binary.NativeEndian.Uint32(b[40:])), binary.NativeEndian.Uint32(b[68:]), true
}

// socketOwners are the processes by the inodes of their sockets, as far as they may be seen.
func socketOwners() map[uint32]string {
	owners := map[uint32]string{}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is right
	for _, path := range links {
		target, err := os.Readlink(path)
		if err != nil {
			continue
		}
		number, found := strings.CutPrefix(target, "socket:[")
		inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32)
		if !found || err != nil {
			continue
		}
		pid := strings.Split(path, "/")[2]
		owners[uint32(inode)] = processName("/proc/"+pid) + " (pid " + pid + ")"
	}
	return owners
}

func processName(dir string) string {
	name, err := os.ReadFile(dir + "/comm")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(name))
}

// processesHere are the processes of this network namespace, as far as they may be seen.
func processesHere() []check.Process {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	var list []check.Process
	for _, dir := range dirs {
		if space, err := os.Readlink(dir + "/ns/net"); err != nil || space != own {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		text, err := os.ReadFile(dir + "/cmdline")
		if err != nil || len(text) == 0 {
			continue // gone, or the kernel's
		}
		list = append(list, check.Process{PID: pid, Name: processName(dir), Args: strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")})
	}
	return list
}
