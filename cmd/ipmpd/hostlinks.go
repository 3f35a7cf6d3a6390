// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/config"
)

// hostLinks reads from this network namespace what config.CheckHost wants.
func hostLinks() ([]config.HostLink, error) {
	// A handle that named no protocol would ask for families that small
	// kernels do not have.
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	defer h.Close()
	links, err := h.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the host's interfaces: %w", err)
	}
	byIndex := make(map[int]netlink.Link, len(links))
	for _, l := range links {
		byIndex[l.Attrs().Index] = l
	}
	managed := managersHere("/proc", "/run")
	out := make([]config.HostLink, 0, len(links))
	for _, l := range links {
		a := l.Attrs()
		hl := config.HostLink{Name: a.Name, Exists: true, Loopback: a.Flags&net.FlagLoopback != 0, MTU: a.MTU, Manager: managed(a.Index)}
		// The master may be in another network namespace; then it has no name here.
		if master, ok := byIndex[a.MasterIndex]; ok && a.MasterIndex != 0 {
			hl.Master, hl.MasterKind = master.Attrs().Name, master.Type()
		}
		out = append(out, hl)
	}
	return out, nil
}

// managersHere returns what tells who manages the interface with an index,
// from the files that networkd and NetworkManager keep below run. They know
// interfaces by index, and indices repeat in other network namespaces, while
// /run is usually shared: elsewhere than where init is the files say nothing.
func managersHere(proc, run string) func(index int) string {
	own, err1 := os.Readlink(proc + "/self/ns/net")
	first, err2 := os.Readlink(proc + "/1/ns/net")
	if err1 == nil && err2 == nil && own != first {
		return func(int) string { return "" }
	}
	return func(index int) string {
		name := strconv.Itoa(index)
		switch values := readValues(run + "/systemd/netif/links/" + name); {
		case values["NETWORK_FILE"] != "" && values["ADMIN_STATE"] != "unmanaged":
			return config.ManagerNetworkd
		}
		switch readValues(run + "/NetworkManager/devices/" + name)["managed"] {
		case "true", "1":
			return config.ManagerNM
		}
		return ""
	}
}

// readValues reads the KEY=VALUE lines of a file; without the file there are none.
func readValues(path string) map[string]string {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	values := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[key] = value
		}
	}
	return values
}
