// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Process runs in the members' network namespace.
type Process struct {
	PID  int
	Name string
	Args []string
}

// kinds of processes that hold on to an interface.
var (
	dhcpClients = []string{"dhclient", "dhcpcd", "udhcpc", "udhcpc6", "dhcp6c"}
	ptp         = []string{"ptp4l", "phc2sys", "ptpd", "ptpd2"}
	routing     = []string{"bird", "bird6", "zebra", "bgpd", "ospfd", "ospf6d", "isisd", "ripd", "ripngd", "babeld", "pimd",
		"eigrpd", "gobgpd", "exabgp", "openbgpd", "keepalived", "vrrpd", "radvd"}
)

// Processes that will not follow a move.
func Processes(list []Process, members []string) []Finding {
	const about = "processes"
	var found []Finding
	for _, p := range list {
		on := named(p.Args, members)
		who := p.Name + " (pid " + strconv.Itoa(p.PID) + ")"
		switch {
		case slices.Contains(dhcpClients, p.Name) && len(on) > 0:
			found = append(found, warning(about, "the DHCP client %s works on %s: it takes the address off when the lease or the link is lost, and puts it back where it was", who, brace(on)).
				do("stop it, and name the address in the file"))
		case slices.Contains(ptp, p.Name) && len(on) > 0:
			found = append(found, warning(about, "%s keeps time by %s: a clock belongs to its port and does not move", who, brace(on)).
				do("give it a second port of its own, or live without time while the member is failed"))
		case slices.Contains(ptp, p.Name):
			found = append(found, note(about, "%s runs: if its file names a member, it does not move", who))
		case slices.Contains(routing, p.Name):
			found = append(found, note(about, "%s runs: its neighbours on a member are lost with it until its own timers say so, and its routes are left alone", who).
				do("let it peer from a data address, or on every member"))
		}
	}
	return found
}

// named are the members on a command line: as a word, or at the end of one (-ihme0, --if=hme0). Some
// write a new line of one argument (dhcpcd: hme0 [ip4]).
func named(args, members []string) (on []string) {
	args = strings.Fields(strings.Join(args, " "))
	for _, m := range members {
		if slices.ContainsFunc(args, func(a string) bool {
			before, found := strings.CutSuffix(a, m)
			return found && (before == "" || strings.HasSuffix(before, "=") || len(before) == 2 && before[0] == '-')
		}) {
			on = append(on, m)
		}
	}
	return on
}

// Daemon that lives: what the others say is of a host that it has in hand.
func Daemon(socket, version string) Finding {
	return note("daemon", "ipmpd %s runs at %s: what it has set is not listed here, and a second one there would be refused", version, socket)
}

// Socket is bound to a device (SO_BINDTODEVICE).
type Socket struct {
	Member   string
	Protocol string // tcp, udp, raw
	Local    netip.AddrPort
	// Remote is invalid of a socket that listens.
	Remote netip.AddrPort
	// Owner is the process's name and pid; "": unknown.
	Owner string
}

// Sockets that are bound to members.
func Sockets(list []Socket) []Finding {
	const about = "sockets"
	var found []Finding
	for _, s := range list {
		what := s.Protocol + " " + s.Local.String()
		if s.Remote.IsValid() && s.Remote.Port() != 0 {
			what += " -> " + s.Remote.String()
		}
		if s.Owner != "" {
			what += " of " + s.Owner
		}
		found = append(found, warning(about, "%s is bound to %s: it sends and hears by this member only", what, s.Member).
			do("bind it to a data address instead of the device"))
	}
	return atMost(found, about, "sockets")
}
