// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/bpf"
	"github.com/ipmpd/ipmpd/pkg/check"
	"github.com/ipmpd/ipmpd/pkg/config"
	"github.com/ipmpd/ipmpd/pkg/detect/probe"
	"github.com/ipmpd/ipmpd/pkg/netstate"
)

// kernelFacts tries what it may.
func kernelFacts(mayBPF bool) check.KernelFacts {
	k := check.KernelFacts{
		Release:   kernelRelease(),
		BTF:       check.KnownIf(exists("/sys/kernel/btf/vmlinux")),
		EvictARP:  check.KnownIf(exists("/proc/sys/net/ipv4/conf/all/arp_evict_nocarrier")),
		EvictND:   check.KnownIf(exists("/proc/sys/net/ipv6/conf/all/ndisc_evict_nocarrier")),
		Resilient: resilientNexthops(),
	}
	if !exists("/proc/sys/net/ipv6") {
		k.EvictND = k.EvictARP // a kernel without IPv6 lacks nothing
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(bpffs, &fs); err == nil {
		k.Pins = check.KnownIf(fs.Type == unix.BPF_FS_MAGIC)
	}
	if !mayBPF {
		return k
	}
	s := bpf.FindSupport()
	k.Programs = check.KnownIf(s.Programs == nil)
	switch {
	case s.TCX == nil:
		k.TCX = check.Yes
	case errors.Is(s.TCX, ebpf.ErrNotSupported):
		k.TCX = check.No
	}
	if s.Programs != nil {
		k.ProgramsError = oneLine(s.Programs)
		return k
	}
	k.Timer, k.Carrier = check.KnownIf(s.Timer), check.KnownIf(s.Carrier)
	return k
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// resilientNexthops asks for the list of their buckets, which kernels without them do not have.
func resilientNexthops() check.Known {
	req := nl.NewNetlinkRequest(unix.RTM_GETNEXTHOPBUCKET, unix.NLM_F_DUMP)
	req.AddRawData(make([]byte, unix.SizeofNhmsg))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	switch {
	case err == nil:
		return check.Yes
	case errors.Is(err, unix.EOPNOTSUPP):
		return check.No
	}
	return check.Unknown
}

// pinsHere is the folder that pinFolder would make; nothing is made or mounted.
func pinsHere() string {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return ""
	}
	return filepath.Join(bpffs, "ipmpd", strconv.FormatUint(ns.Ino, 10))
}

// optional are capabilities that the daemon can do without.
var optional = []right{
	{"CAP_SYS_NICE", []uint{unix.CAP_SYS_NICE}, "real-time priority takes RLIMIT_RTPRIO instead, and ordinary threads wait their turn"},
	{"CAP_SYS_ADMIN", []uint{unix.CAP_SYS_ADMIN}, "no bpffs can be mounted where there is none, and programs of others have no names here"},
}

func (s *survey) rights() []check.Right {
	var list []check.Right
	for _, r := range rights {
		list = append(list, check.Right{Name: r.name, Has: r.in(s.effective), Needed: true, Lost: r.use})
	}
	for _, r := range optional {
		if r.name == "CAP_SYS_NICE" && s.cfg.Realtime.Priority == 0 || r.name == "CAP_SYS_ADMIN" && s.kernel.Pins == check.Yes {
			continue
		}
		list = append(list, check.Right{Name: r.name, Has: r.in(s.effective), Lost: r.use})
	}
	return list
}

// realtimeFacts: a thread tries what the prober's will do, and ends.
func realtimeFacts(rt config.Realtime, effective uint64) check.RealtimeFacts {
	f := check.RealtimeFacts{Priority: rt.Priority, CPUs: rt.CPUs, Nice: effective&(1<<unix.CAP_SYS_NICE) != 0}
	refused := func(err error) { f.Refused = append(f.Refused, err.Error()) }
	// The function does nothing, and so does not fail.
	_ = probe.RealtimeThread(probe.Realtime{Priority: rt.Priority, CPUs: rt.CPUs}, refused, func() error { return nil })
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_RTPRIO, &limit) == nil {
		f.Limit = limit.Cur
	}
	values := netstate.Sysctls([]string{"kernel/sched_rt_runtime_us", "kernel/sched_rt_period_us"})
	runtime, err1 := strconv.Atoi(values["kernel/sched_rt_runtime_us"])
	period, err2 := strconv.Atoi(values["kernel/sched_rt_period_us"])
	f.Runtime, f.Period = time.Duration(runtime)*time.Microsecond, time.Duration(period)*time.Microsecond
	f.Known = err1 == nil && err2 == nil
	return f
}

// all values, and those of members, that `run` leaves alone.
func (s *survey) all() check.AllFacts {
	var a check.AllFacts
	keys := []string{"net/ipv4/conf/all/rp_filter", "net/ipv4/conf/all/arp_ignore", "net/ipv6/conf/all/keep_addr_on_down"}
	for _, u := range s.units {
		for _, m := range u.members {
			if m.ifindex == 0 {
				continue
			}
			name := m.cfg.Name
			keys = append(keys, "net/ipv4/conf/"+name+"/arp_ignore", "net/ipv6/conf/"+name+"/disable_ipv6")
			a.Members = append(a.Members, name)
			if u.uses(1) {
				a.IPv6 = append(a.IPv6, name)
			}
			if u.hasData(0) && !m.test(0).IsValid() {
				a.Bare = append(a.Bare, name)
			}
		}
	}
	a.Values = map[string]int{}
	for key, value := range netstate.Sysctls(keys) {
		if n, err := strconv.Atoi(value); err == nil {
			a.Values[key] = n
		}
	}
	return a
}

func (u *unit) hasData(family int) bool {
	for _, a := range u.cfg.Addresses {
		if a.Prefix.Addr().Is4() == (family == 0) {
			return true
		}
	}
	return false
}

// driverOf an interface, as ethtool -i says it.
func driverOf(ifname string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	if info, err := unix.IoctlGetEthtoolDrvinfo(fd, ifname); err == nil {
		return unix.ByteSliceToString(info.Driver[:])
	}
	path, _ := os.Readlink(filepath.Join("/sys/class/net", ifname, "device/driver")) // virtual ones have none
	return strings.TrimPrefix(filepath.Base(path), ".")
}
