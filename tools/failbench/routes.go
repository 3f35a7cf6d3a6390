// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"

	"github.com/ipmpd/ipmpd/test/lab"
)

// addRoutes through the router, as a host with a full table has: 100.64.0.0/24 and so on.
func (a *arena) addRoutes(n int) error {
	if n == 0 {
		return nil
	}
	way, err := a.Host.Netlink.RouteGet(lab.Router.AsSlice())
	if err != nil {
		return fmt.Errorf("ask for the way to the router: %w", err)
	}
	if len(way) == 0 {
		return fmt.Errorf("the host has no way to the router %s", lab.Router)
	}
	for i := range n {
		dst := &net.IPNet{IP: net.IPv4(100, byte(64+i>>16), byte(i>>8), byte(i)).To4(), Mask: net.CIDRMask(32, 32)}
		if err := a.Host.Netlink.RouteAdd(&netlink.Route{LinkIndex: way[0].LinkIndex, Dst: dst, Gw: lab.Router.AsSlice()}); err != nil {
			return fmt.Errorf("add route %s: %w", dst, err)
		}
	}
	return nil
}
