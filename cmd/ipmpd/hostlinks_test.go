// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/config"
)

func TestHostLinks(t *testing.T) {
	needRoot(t)
	done := make(chan struct{})
	var links []config.HostLink
	var err error
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread and its namespace end here
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0", MTU: 1400}}
		if err = netlink.LinkAdd(bridge); err != nil {
			return
		}
		err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v0", MTU: 1300, MasterIndex: bridge.Index}, PeerName: "v1", PeerMTU: 1200})
		if err != nil {
			return
		}
		links, err = hostLinks()
	}()
	<-done
	require.NoError(t, err)
	require.ElementsMatch(t, []config.HostLink{
		{Name: "lo", Exists: true, Loopback: true, MTU: 65536},
		{Name: "br0", Exists: true, MTU: 1300},
		{Name: "v0", Exists: true, MTU: 1300, Master: "br0", MasterKind: "bridge"},
		{Name: "v1", Exists: true, MTU: 1200},
	}, links)
}

func TestManagers(t *testing.T) {
	root := t.TempDir()
	proc, run := root+"/proc", root+"/run"
	write := func(path, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write(run+"/systemd/netif/links/2", "ADMIN_STATE=configured\nOPER_STATE=routable\nNETWORK_FILE=/etc/systemd/network/a.network\n")
	write(run+"/systemd/netif/links/3", "ADMIN_STATE=unmanaged\nNETWORK_FILE=/etc/systemd/network/a.network\n")
	write(run+"/systemd/netif/links/4", "ADMIN_STATE=pending\n")
	write(run+"/NetworkManager/devices/4", "[device]\nmanaged=true\n")
	write(run+"/NetworkManager/devices/5", "[device]\nmanaged=false\n")
	// The file that keeps networkd's hands off, by itself and with a drop-in.
	write(run+"/systemd/netif/links/6", "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/off.network\n")
	write(root+"/etc/systemd/network/off.network", "[Network]\nKeepConfiguration=yes\nConfigureWithoutCarrier=yes\n")
	write(run+"/systemd/netif/links/7", "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/half.network\n"+
		"NETWORK_FILE_DROPINS=\"/run/systemd/network/half.network.d/a.conf\"\n")
	write(root+"/etc/systemd/network/half.network", "[Network]\nKeepConfiguration=yes\n")
	namespaces := func(self, first string) {
		for who, target := range map[string]string{"self": self, "1": first} {
			link := filepath.Join(proc, who, "ns", "net")
			require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
			require.NoError(t, os.RemoveAll(link))
			require.NoError(t, os.Symlink(target, link))
		}
	}
	ask := func() (out []string) {
		managed := managersHere(root)
		for index := 1; index <= 7; index++ {
			out = append(out, managed(index))
		}
		return out
	}
	here := []string{"", config.ManagerNetworkd, "", config.ManagerNM, "", "", config.ManagerNetworkd}
	require.Equal(t, here, ask(), "where nobody knows the namespaces")
	namespaces("net:[1]", "net:[1]")
	require.Equal(t, here, ask())
	write(run+"/systemd/network/half.network.d/a.conf", "[Network]\nIgnoreCarrierLoss=yes\n")
	here[6] = ""
	require.Equal(t, here, ask())
	namespaces("net:[2]", "net:[1]")
	require.Equal(t, make([]string, 7), ask(), "the files speak of another namespace")
}
