// SPDX-License-Identifier: Apache-2.0

package check

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPorts(t *testing.T) {
	require.Empty(t, Ports(nil), "no member is there")
	require.Equal(t, "note switch: not seen from here: whether its ports accept an address that moves (IP source guard, ARP inspection, port security with sticky entries)",
		lines(t, Ports([]Driver{{Member: "hme0", Name: "ixgbe"}, {Member: "hme1"}})))
	require.Equal(t, text(
		"note switch: {eth0,eth1}, driver ena: the cloud's check of sources may drop what has an address that was not given to this port, and a move is silent then",
		"note switch: ens3, driver virtio_net: anti-spoofing of the host (libvirt's no-ip-spoofing, OpenStack's port security) may drop what has an address that was not given to this port, and a move is silent then",
	), lines(t, Ports([]Driver{{Member: "eth0", Name: "ena"}, {Member: "ens3", Name: "virtio_net"}, {Member: "eth1", Name: "ena"}})))
}

func TestUppers(t *testing.T) {
	require.Equal(t, "note hme0: carries hme0.100 (vlan), mv0 (macvlan): what is on them does not move, and a failure of hme0 is not seen for them",
		lines(t, Links([]Link{{Name: "hme0", Group: "g", Uppers: []string{"hme0.100 (vlan)", "mv0 (macvlan)"}}})))
}
