// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ipmpd/ipmpd/pkg/check"
)

// networkdLink is what systemd-networkd has written about the interface with an index.
func networkdLink(root string, index int) (state, file string) {
	v := readValues(networkdFile(root, index))
	return v["ADMIN_STATE"], v["NETWORK_FILE"]
}

func networkdFile(root string, index int) string {
	return filepath.Join(root, "run/systemd/netif/links", strconv.Itoa(index))
}

// readNetwork reads the .network file that networkd applies, and its drop-ins. What cannot be read
// says nothing, so that networkd counts as unrestrained.
func readNetwork(root string, index int) check.Network {
	v := readValues(networkdFile(root, index))
	var files [][]byte
	for _, path := range append([]string{v["NETWORK_FILE"]}, strings.Fields(strings.Trim(v["NETWORK_FILE_DROPINS"], `"`))...) {
		if data, err := os.ReadFile(filepath.Join(root, strings.Trim(path, `"`))); err == nil {
			files = append(files, data)
		}
	}
	return check.ParseNetwork(files...)
}

// nmManaged is what NetworkManager has written: true, false, unknown; "": nothing.
func nmManaged(root string, index int) string {
	return readValues(filepath.Join(root, "run/NetworkManager/devices", strconv.Itoa(index)))["managed"]
}

// managerOf a member, from the files below root.
func managerOf(root, member string, index int) check.Manager {
	m := check.Manager{Member: member, NM: nmManaged(root, index)}
	m.NetworkdState, m.File = networkdLink(root, index)
	m.Network = readNetwork(root, index)
	m.Method = interfaceMethods(root)[member]
	m.IfUp = readValues(filepath.Join(root, "run/network/ifstate"))[member] != "" ||
		readValues(filepath.Join(root, "run/network/ifstate."+member))[member] != ""
	for _, pattern := range []string{
		fmt.Sprintf("run/systemd/netif/leases/%d", index),
		"var/lib/dhcp/dhclient." + member + ".leases", "var/lib/dhclient/dhclient-*-" + member + ".lease",
		"var/lib/dhcpcd/" + member + ".lease", "var/lib/dhcpcd5/dhcpcd-" + member + ".lease",
		"var/lib/NetworkManager/internal-*-" + member + ".lease",
	} {
		found, _ := filepath.Glob(filepath.Join(root, pattern)) // the patterns are right
		for _, path := range found {
			if info, err := os.Stat(path); err == nil && info.Size() > 0 {
				m.Leases = append(m.Leases, strings.TrimPrefix(path, strings.TrimSuffix(root, "/")))
			}
		}
	}
	return m
}

// interfaceMethods of ifupdown's files.
func interfaceMethods(root string) map[string]string {
	paths, _ := filepath.Glob(filepath.Join(root, "etc/network/interfaces.d/*")) // the pattern is right
	var files [][]byte
	for _, path := range append([]string{filepath.Join(root, "etc/network/interfaces")}, paths...) {
		if data, err := os.ReadFile(path); err == nil {
			files = append(files, data)
		}
	}
	return check.ParseInterfaces(files...)
}
