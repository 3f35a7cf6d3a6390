// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// txPackets is an interface's transmit counter; 0 where it cannot be read. Only asked for while the
// interface refuses probes: a counter that moves means load, one that stands means a hung NIC.
func txPackets(name string) uint64 {
	b, err := os.ReadFile(filepath.Join("/sys/class/net", name, "statistics/tx_packets"))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
