// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/test/lab"
)

// setMAC as an administrator does, who may be wrong.
func (s *scene) setMAC(name, mac string) {
	s.t.Helper()
	s.ip("link", "set", name, "address", mac)
}

// twinOf waits until a member is out of service for its MAC, and not probed.
func (s *scene) twinOf(name, other string) {
	s.t.Helper()
	s.wait(name+" to be out", func() (bool, error) {
		m, _ := s.status(name)
		ok := m.State == "offline" && m.Cause == "mac" && m.Note == "has the MAC of "+other && !m.Active && m.Probe == "disabled"
		if !ok {
			return false, fmt.Errorf("%s is %s, cause %q, note %q, probe %s", name, m.State, m.Cause, m.Note, m.Probe)
		}
		return true, nil
	})
	_, err := s.daemon.RunAs(s.context(), "if_mpadm", "-r", name)
	require.ErrorContains(s.t, err, "hardware address not unique in group")
	_, err = s.daemon.Run(s.context(), "online", name)
	require.ErrorContains(s.t, err, "has the MAC of "+other+"; give it one of its own")
}

// serves: data addresses are on a member, and the peer is answered from there.
func (s *scene) serves(name string, addresses ...netip.Addr) {
	s.t.Helper()
	for _, a := range addresses {
		s.wait(fmt.Sprintf("%s on %s", a, name), func() (bool, error) {
			is, err := s.where(a)
			return err == nil && is == name, err
		})
		s.reached(a)
	}
}

// flagsOf a member, as ipmpstat shows them.
func (s *scene) flagsOf(name string) string {
	for line := range strings.Lines(s.run("stat", "-i", "-P", "-o", "interface,flags")) {
		if is, flags, _ := strings.Cut(strings.TrimSpace(line), ":"); is == name {
			return flags
		}
	}
	return ""
}

// TestDoubledMAC: the one that got it later is out of service until it is unique, or the other one has
// no link; the operator's mark is another thing.
func TestDoubledMAC(t *testing.T) {
	// With rounds of 1 ms the moment until the change is heard of would do for a failover of the other.
	c := setup{detection: 100 * time.Millisecond}
	addresses := []netip.Addr{lab.Data}
	if soaking() { // addresses of IPv6 take two seconds to be there
		c = dual().homes()
		c.detection, addresses = 100*time.Millisecond, append(addresses, lab.Data6)
	}
	s := stage(t, c)
	events := s.watchFrom(3)
	mac0, mac1 := s.Members[0].MAC().String(), s.Members[1].MAC().String()

	s.setMAC("hme1", mac0)
	e := s.expect("offline hme1")[0]
	require.Equal(t, []string{"mac", "has the MAC of hme0"}, []string{e.Cause, e.Detail})
	s.twinOf("hme1", "hme0")
	require.Equal(t, "-----dh", s.flagsOf("hme1"))
	for told := false; !told; {
		ev := s.told(events, control.EventInterfaceState)
		told = ev.Interface == "hme1" && ev.Detail == "offline mac: has the MAC of hme0"
	}
	s.serves("hme0", addresses...)

	// Without link the other one sends nothing: who is out is all there is.
	_, err := s.Members[0].CutCarrier()
	require.NoError(t, err)
	s.expect("failover hme0", "online hme1")
	s.serves("hme1", addresses...)
	// It comes back as the later one.
	require.NoError(t, s.Members[0].Repair())
	s.expect("offline hme0")
	s.twinOf("hme0", "hme1")
	s.serves("hme1", lab.Data)

	// Who served goes on after a restart, whatever the order of the file.
	require.NoError(t, s.daemon.Kill())
	require.NoError(t, s.daemon.Start())
	s.wait("the daemon", s.ready)
	s.twinOf("hme0", "hme1")
	s.serves("hme1", lab.Data)
	require.Empty(t, words(s.news()))

	// Unique again, it comes back by itself.
	s.setMAC("hme0", mac1)
	s.expect("failback hme0", "online hme0")
	s.serves("hme0", addresses...)
	require.NotContains(t, s.flagsOf("hme0"), "h")

	// The operator's mark is not touched by it, nor it by the mark.
	s.run("offline", "hme1")
	s.expect("offline hme1")
	s.setMAC("hme1", mac1)
	s.wait("it to be heard of", func() (bool, error) {
		_, err := s.daemon.RunAs(s.context(), "if_mpadm", "-r", "hme1")
		return err != nil && strings.Contains(err.Error(), "hardware address not unique in group"), nil
	})
	m, _ := s.status("hme1")
	require.Equal(t, []string{"offline", "admin"}, []string{m.State, m.Cause})
	s.setMAC("hme1", mac0)
	s.wait("online", func() (bool, error) {
		_, err := s.daemon.Run(s.context(), "online", "hme1")
		return err == nil, err
	})
	s.expect("online hme1")
	s.state("hme1", "ok")
}

// TestDoubledMACFromTheStart, of file order the later one; one that is deleted sets the other free, and
// a reload that takes it out of the group does.
func TestDoubledMACFromTheStart(t *testing.T) {
	s := stage(t, setup{detection: 100 * time.Millisecond, lab: lab.Options{Members: 3}, prepare: func(t *testing.T, s *scene) {
		s.setMAC("hme1", s.Members[0].MAC().String())
		s.setMAC("hme2", s.Members[0].MAC().String())
	}})
	s.twinOf("hme1", "hme0")
	s.twinOf("hme2", "hme0")
	_, g := s.status("hme0")
	require.Equal(t, "degraded", g.State)
	s.serves("hme0", lab.Data)
	require.NoError(t, s.Members[0].Delete())
	s.expect("failover hme0", "online hme1")
	s.serves("hme1", lab.Data)
	s.twinOf("hme2", "hme1")
	require.NoError(t, s.Members[0].Recreate()) // the lab gives it its MAC
	s.twinOf("hme0", "hme1")
	s.serves("hme1", lab.Data)
	s.news()

	text, err := s.daemon.Configuration()
	require.NoError(t, err)
	without := text[:strings.Index(text, "      hme1:\n")] + text[strings.Index(text, "      hme2:\n"):]
	require.NoError(t, s.daemon.Configure(without))
	s.run("reload")
	s.wait("the one that was there before hme0", func() (bool, error) {
		m0, _ := s.status("hme0")
		m2, _ := s.status("hme2")
		if m0.State != "offline" || m2.State != "ok" {
			return false, fmt.Errorf("hme0 is %s, hme2 is %s", m0.State, m2.State)
		}
		return true, nil
	})
	s.serves("hme2", lab.Data)
	s.news()
}
