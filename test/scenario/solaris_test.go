// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
)

// The files of the seed article, with the addresses that it lost.
var seedFiles = map[string]string{
	"etc/hostname.hme0": "unreal-hme0 netmask + broadcast + deprecated -failover group unrealgrp1 up addif unreal netmask + broadcast + failover up\n",
	"etc/hostname.hme1": "unreal-hme1 netmask + broadcast + deprecated -failover group unrealgrp1 up\n",
	"etc/hosts":         "127.0.0.1 localhost\n192.0.2.10 unreal loghost\n192.0.2.11 unreal-hme0\n192.0.2.12 unreal-hme1\n",
	"etc/netmasks":      "192.0.2.0 255.255.255.0\n",
}

// TestSolaris runs the seed's files as they are, pulls the cable, and looks on with Solaris' commands.
func TestSolaris(t *testing.T) {
	s := stage(t, setup{solaris: seedFiles, ready: func(s *scene) (bool, error) {
		// The files name no target: the peer is one once it has been heard of.
		if ok, err := s.Peer.Reaches(lab.Data); !ok {
			return false, err
		}
		return s.ready()
	}})
	require.Equal(t, s.picture("hme0", true, true), s.run("ifconfig", "-a"))
	require.Equal(t, statHeader+
		"hme0        yes     unrealgrp1  --mb---   up        ok        ok\n"+
		"hme1        yes     unrealgrp1  -------   up        ok        ok\n", s.as("ipmpstat", "-i"))
	require.Equal(t, "192.0.2.10:up:unrealgrp1:hme0:hme0 hme1\n", s.as("ipmpstat", "-naPo", "address,state,group,inbound,outbound"))
	require.Equal(t, "unrealgrp1:ok:hme0 hme1\n", s.as("ipmpstat", "-gPo", "group,state,interfaces"))
	require.Contains(t, s.as("ipmpstat", "-tn"), "hme1        multicast 192.0.2.12          ")
	require.Equal(t, "nothing changed\n", s.run("reload"))
	require.Contains(t, s.run("check", "--solaris", filepath.Join(s.Dir, "root")), "root/etc/hostname.*: ok: 1 group, 2 interfaces, 1 address\n")
	s.probes("hme0", "hme1")

	_, err := s.Members[0].CutCarrier()
	require.NoError(t, err)
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
	require.Equal(t, s.picture("hme1", false, true), s.run("ifconfig", "-a"))
	require.Equal(t, statHeader+
		"hme0        no      unrealgrp1  -------   down      failed    failed\n"+
		"hme1        yes     unrealgrp1  --mb---   up        ok        ok\n", s.as("ipmpstat", "-i"))
	_, err = s.daemon.RunAs(s.context(), "if_mpadm", "-d", "hme1")
	require.ErrorContains(t, err, "exit status 1: if_mpadm: fatal: cannot offline hme1: no other functioning interface in the group")

	require.NoError(t, s.daemon.Signal(syscall.SIGUSR1))
	s.wait("the status in the log", func() (bool, error) {
		log, err := os.ReadFile(s.daemon.Log)
		return strings.Contains(string(log), "status of a group"), err
	})

	require.NoError(t, s.Members[0].Repair())
	s.expect("repair hme0", "failback hme0")
	s.at("hme0", lab.Data)
	require.Equal(t, s.picture("hme0", true, true), s.run("ifconfig", "-a"))

	require.Empty(t, s.as("if_mpadm", "-d", "hme0"))
	s.expect("offline hme0")
	s.at("hme1", lab.Data)
	_, err = s.daemon.RunAs(s.context(), "if_mpadm", "-d", "hme0")
	require.ErrorContains(t, err, "exit status 1: if_mpadm: fatal: hme0 is already offline")
	require.Contains(t, s.as("ipmpstat", "-i"), "hme0        no      unrealgrp1  -----d-   up        disabled  offline\n")
	require.Empty(t, s.as("if_mpadm", "-r", "hme0"))
	s.expect("online hme0", "failback hme0")
	s.at("hme0", lab.Data)
}

const statHeader = "INTERFACE   ACTIVE  GROUP       FLAGS     LINK      PROBE     STATE\n"

// as runs the program under a name that must succeed.
func (s *scene) as(name string, args ...string) string {
	s.t.Helper()
	out, err := s.daemon.RunAs(s.context(), name, args...)
	require.NoError(s.t, err)
	return out
}

// picture of the article: the data address on a member, and which of them work (hme0, hme1).
func (s *scene) picture(owner string, works ...bool) string {
	s.t.Helper()
	var b strings.Builder
	for i, m := range s.Members {
		link, err := s.Host.Link(m.Name)
		require.NoError(s.t, err)
		place := fmt.Sprintf("mtu 1500 index %d", link.Attrs().Index)
		flags := "9040843<UP,BROADCAST,RUNNING,MULTICAST,DEPRECATED,IPv4,NOFAILOVER>"
		if !works[i] {
			flags = "19040803<UP,BROADCAST,MULTICAST,DEPRECATED,IPv4,NOFAILOVER,FAILED>"
		}
		var ether []string
		for _, octet := range m.MAC() {
			ether = append(ether, fmt.Sprintf("%x", octet))
		}
		fmt.Fprintf(&b, "%s: flags=%s %s\n\tinet %s netmask ffffff00 broadcast 192.0.2.255\n\tgroupname unrealgrp1\n\tether %s\n",
			m.Name, flags, place, lab.TestAddr(i), strings.Join(ether, ":"))
		if m.Name == owner {
			fmt.Fprintf(&b, "%s:1: flags=1000843<UP,BROADCAST,RUNNING,MULTICAST,IPv4> %s\n\tinet 192.0.2.10 netmask ffffff00 broadcast 192.0.2.255\n",
				m.Name, place)
		}
	}
	return b.String()
}

// probes waits until `ipmpstat -p`, which goes on until it is ended, shows an answered one of each member.
func (s *scene) probes(names ...string) {
	s.t.Helper()
	s.wait("probes of all members", func() (bool, error) {
		ctx, cancel := context.WithTimeout(s.context(), 300*time.Millisecond)
		defer cancel()
		out, err := s.daemon.RunAs(ctx, "ipmpstat", "-pn")
		if ctx.Err() == nil {
			return false, fmt.Errorf("it ended by itself: %w", err)
		}
		if !strings.HasPrefix(out, "TIME      INTERFACE   PROBE  NETRTT    RTT       RTTAVG    TARGET\n") {
			return false, fmt.Errorf("it shows %q", out)
		}
		for _, name := range names {
			row := regexp.MustCompile(`(?m)^[0-9.]+(us|ms|s) +` + name + ` +[0-9]+ +([0-9.]+(us|ms) +){3}192\.0\.2\.[0-9]+$`)
			if !row.MatchString(out) {
				return false, fmt.Errorf("nothing of %s in %q", name, out)
			}
		}
		s.t.Logf("ipmpstat -pn, its end:\n%s", out[max(0, len(out)-300):])
		return true, nil
	})
}
