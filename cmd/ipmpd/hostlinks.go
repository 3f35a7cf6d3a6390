// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
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
	managed := managersHere("/")
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

// managersHere returns what tells who manages the interface with an index and
// would undo a move, from the files that networkd and NetworkManager keep below
// root's run.
func managersHere(root string) func(index int) string {
	if !firstNamespace(root) {
		return func(int) string { return "" }
	}
	return func(index int) string {
		switch state, file := networkdLink(root, index); {
		case file != "" && state != "unmanaged" && !readNetwork(root, index).HandsOff():
			return config.ManagerNetworkd
		}
		switch nmManaged(root, index) {
		case "true", "1":
			return config.ManagerNM
		}
		return ""
	}
}

// firstNamespace: managers know interfaces by index, and indices repeat in other
// network namespaces, while /run is usually shared: elsewhere than where init is
// their files say nothing. Where nobody knows, they are believed.
func firstNamespace(root string) bool {
	own, err1 := os.Readlink(filepath.Join(root, "proc/self/ns/net"))
	first, err2 := os.Readlink(filepath.Join(root, "proc/1/ns/net"))
	return err1 != nil || err2 != nil || own == first
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
