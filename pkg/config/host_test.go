// SPDX-License-Identifier: Apache-2.0

package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckHost(t *testing.T) {
	cfg := parse(t, "groups:\n  g:\n    interfaces:\n      hme0:\n      hme1:\n  h:\n    interfaces:\n      hme2:\n")
	good := func(name string) HostLink { return HostLink{Name: name, Exists: true, MTU: 1500} }
	with := func(name string, set func(*HostLink)) HostLink {
		l := good(name)
		set(&l)
		return l
	}
	for _, r := range []struct {
		name     string
		hme1     HostLink
		error    string
		warnings []string
	}{
		{"good", good("hme1"), "", nil},
		{"missing", HostLink{Name: "hme1"}, "", []string{"f:5:7: interface hme1 does not exist; check the name, or plug it in; the group runs without it"}},
		{"unknown", good("hme7"), "", []string{"f:5:7: interface hme1 does not exist; check the name, or plug it in; the group runs without it"}},
		{"loopback", with("hme1", func(l *HostLink) { l.Loopback = true }), "f:5:7: interface hme1 is a loopback; remove it", nil},
		{"bridge port", with("hme1", func(l *HostLink) { l.Master, l.MasterKind = "br0", "bridge" }),
			"f:5:7: interface hme1 is a port of the bridge br0; take it off the bridge", nil},
		{"bond port", with("hme1", func(l *HostLink) { l.Master, l.MasterKind = "bond0", "bond" }),
			"f:5:7: interface hme1 is a port of the bond bond0; take it off, or name the bond itself", nil},
		{"team port", with("hme1", func(l *HostLink) { l.Master, l.MasterKind = "team0", "team" }),
			"f:5:7: interface hme1 is a port of the team team0; take it off, or name the team itself", nil},
		{"in a VRF", with("hme1", func(l *HostLink) { l.Master, l.MasterKind = "red", "vrf" }), "",
			[]string{"f:5:7: interface hme1 is in the VRF red, but hme0 in no VRF; put the members of a group into one VRF, or none of them; their routes are in one table"}},
		{"MTU", with("hme1", func(l *HostLink) { l.MTU = 9000 }),
			"f:5:7: interface hme1 has MTU 9000, but hme0 has 1500; give the members of a group one MTU", nil},
		{"networkd", with("hme1", func(l *HostLink) { l.Manager = ManagerNetworkd }),
			"f:5:7: systemd-networkd manages interface hme1 and would undo a move; write `[Match]\\nName=hme1\\n[Link]\\nUnmanaged=yes` to " +
				"/etc/systemd/network/05-ipmpd-hme1.network and run `networkctl reload`", nil},
		{"NetworkManager", with("hme1", func(l *HostLink) { l.Manager = ManagerNM }),
			"f:5:7: NetworkManager manages interface hme1 and would undo a move; write `[keyfile]\\nunmanaged-devices+=interface-name:hme1` to " +
				"/etc/NetworkManager/conf.d/90-ipmpd-hme1.conf and run `nmcli general reload`, then `ip link set hme1 up`, because it sets it down", nil},
	} {
		t.Run(r.name, func(t *testing.T) {
			// Another group may well have another MTU.
			hme2 := with("hme2", func(l *HostLink) { l.MTU = 9000 })
			errs, warnings := CheckHost(cfg, []HostLink{r.hme1, hme2, good("hme0")})
			if r.error == "" {
				require.Empty(t, errs)
			} else {
				require.Len(t, errs, 1)
				require.EqualError(t, errs[0], r.error)
			}
			var texts []string
			for _, w := range warnings {
				texts = append(texts, w.String())
			}
			require.Equal(t, r.warnings, texts)
		})
	}
}

// Of a monitored interface nothing moves: it may be a port, or somebody's who manages it.
func TestHostOfMonitored(t *testing.T) {
	cfg := parse(t, two+"monitor:\n  hme7:\n  hme8:\n  hme9:\n")
	errs, warnings := CheckHost(cfg, []HostLink{{Name: "hme0", Exists: true}, {Name: "hme1", Exists: true},
		{Name: "hme7", Exists: true, Loopback: true},
		{Name: "hme8", Exists: true, Master: "bond0", MasterKind: "bond", MTU: 9000, Manager: ManagerNM}})
	require.Len(t, errs, 1)
	require.EqualError(t, errs[0], "f:5:3: interface hme7 is a loopback; remove it")
	require.Len(t, warnings, 1)
	require.Equal(t, "f:7:3: interface hme9 does not exist; check the name, or plug it in; it is watched when it appears", warnings[0].String())
}
