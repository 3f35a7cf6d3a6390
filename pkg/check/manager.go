// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Manager is what others know of a member. That networkd or NetworkManager certainly undo a move is
// an error of pkg/config already, for `run` too. What is here is a warning, because it depends on what
// the operator does next: a manager that has not decided yet, one that holds still until it is
// started again, an `ifdown` that nobody may ever type.
type Manager struct {
	Member string
	// NetworkdState is ADMIN_STATE of networkd, "" where it does not know the member; File is the
	// .network file that it found for it, and Network what that says.
	NetworkdState, File string
	Network             Network
	// NM: NetworkManager is there and has the member down as managed "true", "false" or "unknown".
	NM string
	// Method of ifupdown's `iface` (static, dhcp, manual), and whether it is up by ifupdown's account.
	Method string
	IfUp   bool
	// Leases are files of DHCP leases for it.
	Leases []string
	// Ours are its group's data addresses.
	Ours []netip.Prefix
}

// Managers of members.
func Managers(list []Manager) []Finding {
	var found []Finding
	for _, m := range list {
		switch {
		case m.NetworkdState == "" || m.NetworkdState == "unmanaged":
		case m.File == "":
			found = append(found, warning(m.Member, "systemd-networkd has it as %s, without a .network file yet: one that matches later would undo a move", m.NetworkdState).
				do(DropIn(m.Member)...))
		default:
			found = append(found, networkd(m)...)
		}
		if m.NM == "unknown" {
			found = append(found, warning(m.Member, "NetworkManager knows it, and whether it manages it cannot be told").
				do(Unmanaged(m.Member)...))
		}
		found = append(found, ifupdown(m)...)
		for _, l := range m.Leases {
			found = append(found, note(m.Member, "a DHCP lease is kept in %s: a client that still holds it takes the address off when it ends", l).
				do("delete the file if the client is gone"))
		}
	}
	return found
}

// networkd, with a file that tells it to keep its hands off (pkg/config has refused any other).
func networkd(m Manager) []Finding {
	var again []string
	for _, a := range m.Network.Addresses {
		if slices.ContainsFunc(m.Ours, func(p netip.Prefix) bool { return p.Addr() == a.Addr() }) {
			again = append(again, a.Addr().String())
		}
	}
	switch {
	case len(again) > 0:
		return []Finding{warning(m.Member, "systemd-networkd keeps its hands off it, but %s names %s: every restart and `networkctl reload` puts it there again, wherever it is by then",
			m.File, strings.Join(again, ", ")).do("take the Address= out of that file; ipmpd puts it on the host")}
	case m.Network.DHCP:
		return []Finding{warning(m.Member, "systemd-networkd keeps its hands off it, but %s asks for DHCP: a leased address stays on this member", m.File).
			do("DHCP=no in that file")}
	}
	return []Finding{note(m.Member, "managed by systemd-networkd, which keeps its hands off (%s: KeepConfiguration, IgnoreCarrierLoss)", m.File)}
}

func ifupdown(m Manager) []Finding {
	if m.Method == "" || m.Method == "manual" {
		return nil
	}
	if m.Method == "dhcp" {
		return []Finding{warning(m.Member, "ifupdown configures it by DHCP: the client takes the address off on loss of the lease, and puts it back").
			do(fmt.Sprintf("`iface %s inet manual` in /etc/network/interfaces, and the address in the file", m.Member))}
	}
	if m.IfUp {
		return []Finding{warning(m.Member, "ifupdown has it up with method %s: `ifdown` flushes its addresses, moved ones too, and `ifup` adds its own again", m.Method).
			do(fmt.Sprintf("`iface %s inet manual` in /etc/network/interfaces", m.Member))}
	}
	return []Finding{note(m.Member, "ifupdown would configure it with method %s at `ifup`", m.Method).
		do(fmt.Sprintf("`iface %s inet manual` in /etc/network/interfaces", m.Member))}
}

// DropIn is the .network file that keeps networkd from undoing a move while it still manages the
// member. Unmanaged=yes, which pkg/config prints, does so too, and more simply.
func DropIn(member string) []string {
	return []string{
		"write /etc/systemd/network/05-ipmpd-" + member + ".network, then `networkctl reload`:",
		"  [Match]", "  Name=" + member,
		"  [Link]", "  RequiredForOnline=no",
		"  [Network]", "  KeepConfiguration=yes", "  ConfigureWithoutCarrier=yes", "  IgnoreCarrierLoss=yes",
	}
}

// Unmanaged keeps NetworkManager away from a member.
func Unmanaged(member string) []string {
	return []string{
		"write /etc/NetworkManager/conf.d/90-ipmpd-" + member + ".conf, then `nmcli general reload` and `ip link set " + member + " up`, because it sets it down:",
		"  [keyfile]", "  unmanaged-devices+=interface-name:" + member,
	}
}

// Network is what a .network file says that matters.
type Network struct {
	Keep, IgnoreLoss *bool
	WithoutCarrier   bool
	DHCP             bool
	Addresses        []netip.Prefix
}

// HandsOff: networkd takes nothing off, neither on carrier loss nor when it starts again.
// IgnoreCarrierLoss follows ConfigureWithoutCarrier where it is not given (systemd.network(5)).
func (n Network) HandsOff() bool {
	ignores := n.WithoutCarrier
	if n.IgnoreLoss != nil {
		ignores = *n.IgnoreLoss
	}
	return n.Keep != nil && *n.Keep && ignores
}

// ParseNetwork reads a .network file and its drop-ins, in this order.
func ParseNetwork(files ...[]byte) Network {
	var n Network
	for _, file := range files {
		section := ""
		for line := range strings.Lines(string(file)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") {
				section = line
			}
			key, value, found := strings.Cut(line, "=")
			if !found || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
				continue
			}
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			switch section + key {
			case "[Network]KeepConfiguration":
				// `static` keeps what nobody leased, and that is what ipmpd adds.
				n.Keep = new(isTrue(value) || value == "static")
			case "[Network]IgnoreCarrierLoss":
				n.IgnoreLoss = new(isTrue(value) || value == "infinity")
			case "[Network]ConfigureWithoutCarrier":
				n.WithoutCarrier = isTrue(value)
			case "[Network]DHCP":
				n.DHCP = isTrue(value) || value == "ipv4" || value == "ipv6"
			case "[Network]Address", "[Address]Address":
				n.address(value)
			}
		}
	}
	return n
}

func (n *Network) address(value string) {
	if value == "" { // systemd's way to forget what came before
		n.Addresses = nil
	}
	if p, err := netip.ParsePrefix(value); err == nil {
		n.Addresses = append(n.Addresses, p)
	} else if a, err := netip.ParseAddr(value); err == nil {
		n.Addresses = append(n.Addresses, netip.PrefixFrom(a, a.BitLen()))
	}
}

func isTrue(value string) bool {
	return slices.Contains([]string{"1", "yes", "true", "on", "y", "t"}, strings.ToLower(value))
}

// ParseInterfaces reads /etc/network/interfaces and what it sources: the method by interface, that
// of IPv4 where both are given.
func ParseInterfaces(files ...[]byte) map[string]string {
	methods := map[string]string{}
	for _, file := range files {
		for line := range strings.Lines(string(file)) {
			words := strings.Fields(line)
			if len(words) < 4 || words[0] != "iface" || words[2] != "inet" && words[2] != "inet6" {
				continue
			}
			if _, seen := methods[words[1]]; words[2] == "inet" || !seen {
				methods[words[1]] = words[3]
			}
		}
	}
	return methods
}
