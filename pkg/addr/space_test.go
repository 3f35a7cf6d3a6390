// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// space is a network namespace: a thread that lives in it and works for the test. It has no name,
// so it cannot be left behind.
type space struct {
	t    testing.TB
	tid  int
	work chan func()
}

func newSpace(t testing.TB) *space {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("network namespaces need root")
		}
		t.Skip("network namespaces need root")
	}
	s := &space{t: t, work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		s.tid = unix.Gettid()
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for fn := range s.work {
			fn()
		}
	}()
	require.NoError(t, <-ready)
	t.Cleanup(func() { close(s.work) })
	return s
}

// do runs fn on the namespace's thread.
func (s *space) do(fn func() error) {
	s.t.Helper()
	done := make(chan error)
	s.work <- func() { done <- fn() }
	require.NoError(s.t, <-done)
}

// ip runs one ip(8) command in the namespace.
func (s *space) ip(args ...string) string {
	s.t.Helper()
	var text string
	s.do(func() error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		text = string(out)
		if err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
		return nil
	})
	return text
}

// json runs an ip command with -j and -d.
func (s *space) json(args ...string) (list []map[string]any) {
	s.t.Helper()
	text := s.ip(append([]string{"-j", "-d"}, args...)...)
	require.NoError(s.t, json.Unmarshal([]byte(text), &list), text)
	return list
}

// infos are the addresses on an interface as ip(8) has them.
func (s *space) infos(dev string) (out []map[string]any) {
	s.t.Helper()
	for _, l := range s.json("addr", "show", "dev", dev, "scope", "global") {
		list, _ := l["addr_info"].([]any)
		for _, a := range list {
			if a := a.(map[string]any); a["local"] != nil { // what the scope excludes is {}
				out = append(out, a)
			}
		}
	}
	return out
}

// addresses on an interface, with their length.
func (s *space) addresses(dev string) (out []netip.Prefix) {
	s.t.Helper()
	for _, a := range s.infos(dev) {
		out = append(out, netip.MustParsePrefix(fmt.Sprint(a["local"], "/", a["prefixlen"])))
	}
	return out
}

// rig is a host with two members, and a peer behind a bridge.
type rig struct {
	host, peer *space
	members    [2]Member
	a          *Applier
}

func newRig(t testing.TB, opt ApplierOptions) *rig {
	t.Helper()
	r := &rig{host: newSpace(t), peer: newSpace(t)}
	r.host.ip("link", "set", "lo", "up")
	r.peer.ip("link", "add", "br0", "address", "02:00:00:00:00:01", "type", "bridge")
	r.peer.ip("link", "set", "br0", "up")
	r.peer.ip("addr", "add", "192.0.2.1/24", "dev", "br0")
	r.peer.ip("addr", "add", "2001:db8::1/64", "dev", "br0", "nodad")
	for i := range r.members {
		m, p := fmt.Sprint("m", i), fmt.Sprint("p", i)
		mac := MAC{2, 0, 0, 0, 0, 0x10 + byte(i)}
		r.host.ip("link", "add", m, "address", net.HardwareAddr(mac[:]).String(), "type", "veth",
			"peer", "name", p, "netns", strconv.Itoa(r.peer.tid))
		r.peer.ip("link", "set", p, "master", "br0", "up")
		r.host.ip("link", "set", m, "up")
		index := int(r.host.json("link", "show", "dev", m)[0]["ifindex"].(float64))
		r.members[i] = Member{Name: m, Index: index, MAC: mac, Link: true}
	}
	r.host.do(func() (err error) { r.a, err = NewApplier(opt); return err })
	t.Cleanup(func() { require.NoError(t, r.a.Close()) })
	return r
}

// applied performs ops, which must not fail.
func (r *rig) applied(ops ...Op) {
	r.host.t.Helper()
	require.Empty(r.host.t, r.apply(ops...))
}

func (r *rig) apply(ops ...Op) (failures []Failure) {
	r.host.do(func() error { failures = r.a.Apply(r.a.Epoch(), ops); return nil })
	return failures
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, 2*time.Millisecond, what)
}

// capture hears every frame that comes to the peer's bridge.
type capture struct {
	fd int
	t  testing.TB
}

func (r *rig) capture() *capture {
	c := &capture{t: r.peer.t}
	r.peer.do(func() (err error) {
		all := int(uint16(unix.ETH_P_ALL)>>8 | uint16(unix.ETH_P_ALL)<<8)
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		br0, err := net.InterfaceByName("br0")
		if err != nil {
			return err
		}
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
		timeout := unix.Timeval{Usec: 20_000}
		if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return err
		}
		return unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: br0.Index})
	})
	c.t.Cleanup(func() { _ = unix.Close(c.fd) })
	return c
}

// next is the next frame that ok accepts; it fails the test when none comes.
func (c *capture) next(what string, ok func(b []byte) bool) []byte {
	c.t.Helper()
	b := make([]byte, 2048)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		n, _, err := unix.Recvfrom(c.fd, b, 0)
		if err == nil && ok(b[:n]) {
			return b[:n]
		}
	}
	require.Fail(c.t, "no frame", what)
	return nil
}

// isGARP: an ARP announcement of ip, whoever it is for.
func isGARP(b []byte, ip netip.Addr) bool {
	if len(b) < etherLen+arpLen || b[12] != etherARP>>8 || b[13] != etherARP&0xff {
		return false
	}
	a, err := ParseARP(b[etherLen:])
	return err == nil && a.SenderIP == ip && a.TargetIP == ip
}
