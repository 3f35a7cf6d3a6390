// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// right is a capability without which the daemon cannot do its work.
type right struct {
	name string
	// any of these capabilities gives it
	by  []uint
	use string
}

var rights = []right{
	{"CAP_NET_ADMIN", []uint{unix.CAP_NET_ADMIN}, "addresses and routes"},
	{"CAP_NET_RAW", []uint{unix.CAP_NET_RAW}, "probes"},
	{"CAP_BPF", []uint{unix.CAP_BPF, unix.CAP_SYS_ADMIN}, "BPF programs"},
	{"CAP_PERFMON", []uint{unix.CAP_PERFMON, unix.CAP_SYS_ADMIN}, "BPF programs"},
}

// checkRights names all the capabilities that this process lacks, before anything is opened.
func checkRights() error {
	effective, err := effectiveRights()
	if err != nil {
		return err
	}
	return missingRights(effective)
}

// effectiveRights of this process, a bit for each capability.
func effectiveRights() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("read the capabilities of this process: %w", err)
	}
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32, nil
}

func (r right) in(effective uint64) bool {
	for _, c := range r.by {
		if effective&(1<<c) != 0 {
			return true
		}
	}
	return false
}

func missingRights(effective uint64) error {
	var missing []string
	for _, r := range rights {
		if !r.in(effective) {
			missing = append(missing, r.name+" ("+r.use+")")
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("this process lacks %s; run it as root, or name them in CapabilityBoundingSet= and "+
		"AmbientCapabilities= of its unit", strings.Join(missing, ", "))
}

// advised adds what to do to an error of openDaemon that does not say so itself.
func advised(err error) error {
	if strings.Contains(err.Error(), "; ") {
		return err
	}
	advice := "look at the kernel's log and tell the makers of ipmpd"
	var errno unix.Errno
	if errors.As(err, &errno) {
		switch errno {
		case unix.EPERM, unix.EACCES:
			advice = "run it as root, and in a container with the rights of the first user namespace"
		case unix.EMFILE, unix.ENFILE:
			advice = "raise LimitNOFILE="
		case unix.ENOMEM, unix.ENOBUFS:
			advice = "give it more memory"
		case unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.EOPNOTSUPP, unix.ENOSYS:
			advice = "use Linux 6.1 or newer, with BPF, packet sockets and netlink built in"
		case unix.ENOSPC, unix.EROFS:
			advice = "make room there, or name other places with --socket and --state"
		}
	}
	return fmt.Errorf("%w; %s", err, advice)
}
