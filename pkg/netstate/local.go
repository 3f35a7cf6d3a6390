// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Local asks what the kernel delivers to this host. It is for one goroutine at a time.
type Local struct{ handle *netlink.Handle }

// OpenLocal opens it in the network namespace of the calling thread.
func OpenLocal() (*Local, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	return &Local{h}, nil
}

// Close the socket.
func (l *Local) Close() { l.handle.Close() }

// Delivers says whether the kernel has the local route of an address of an interface. Of IPv6 it comes some
// time after the address, from a work queue (addrconf_dad_work in net/ipv6/addrconf.c), without duplicate
// detection too; until then, what arrives for the address is dropped.
func (l *Local) Delivers(link int, ip netip.Addr) bool {
	routes, err := l.handle.RouteGetWithOptions(ip.AsSlice(), &netlink.RouteGetOptions{OifIndex: link})
	return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL
}
