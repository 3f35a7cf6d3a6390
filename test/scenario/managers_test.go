// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/check"
	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// slow probes: only the carrier can be the cause.
const slow = 100 * time.Millisecond

// managed is a container with a system bus and, after start, a network manager. Its /sys cannot be
// written to, which is how systemd-networkd and NetworkManager know that there is no udev to wait for;
// nor can this host's files, of which NetworkManager would rewrite /etc/resolv.conf.
type managed struct {
	*lab.Room
	t    *testing.T
	stop func() error
	kind manager
}

// manager is one of the two.
type manager struct {
	name    string
	command []string
	reload  []string          // as the operator is told to
	downs   bool              // it sets an interface down that it lets go of
	knows   []string          // a command that succeeds when it works
	files   map[string]string // that have it manage a lab's members, and give them an address
}

var networkd = manager{
	name: "systemd-networkd", command: []string{"/lib/systemd/systemd-networkd"},
	reload: []string{"networkctl", "reload"}, knows: []string{"networkctl", "status", "hme0"},
	files: map[string]string{"/etc/systemd/network/50-all.network": "[Match]\nName=hme*\n[Network]\nAddress=198.18.0.1/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"},
}

var networkManager = manager{
	name: "NetworkManager", command: []string{"/usr/sbin/NetworkManager", "--no-daemon"},
	downs: true, reload: []string{"nmcli", "general", "reload"}, knows: []string{"nmcli", "-t", "general", "status"},
	files: map[string]string{
		"/etc/NetworkManager/conf.d/10-all.conf":                "[main]\nplugins=keyfile\nrc-manager=unmanaged\n[device-hme]\nmatch-device=interface-name:hme*\nmanaged=1\n",
		"/etc/NetworkManager/system-connections/0.nmconnection": profile("hme0"),
		"/etc/NetworkManager/system-connections/1.nmconnection": profile("hme1"),
	},
}

// profile of NetworkManager for an interface.
func profile(name string) string {
	return "[connection]\nid=" + name + "\ntype=ethernet\ninterface-name=" + name +
		"\n[ipv4]\nmethod=manual\naddress1=198.18.0.1/24\n[ipv6]\nmethod=disabled\n"
}

const managedMounts = `
mount -t sysfs -o ro sysfs /sys
mount -t bpf bpf /sys/fs/bpf
for d in /run /etc/systemd/network /etc/NetworkManager /var/lib/NetworkManager; do mount -t tmpfs tmpfs $d; done
mkdir -p /run/dbus /run/systemd /etc/NetworkManager/conf.d /etc/NetworkManager/system-connections
mount --bind "${TMPDIR:-/tmp}" "${TMPDIR:-/tmp}"
mount -o remount,bind,ro /
`

// installed requires the manager's program; `make test-managers` installs it.
func (m manager) installed(t *testing.T) {
	t.Helper()
	if os.Getenv("MANAGERS") == "" {
		t.Skip("real network managers, about a minute: make test-managers")
	}
	_, err := exec.LookPath(m.command[0])
	require.NoError(t, err, "make test-managers installs it")
}

func newManaged(t *testing.T, s *scene, kind manager) *managed {
	t.Helper()
	room, err := s.Room(managedMounts)
	require.NoError(t, err)
	m := &managed{Room: room, t: t, kind: kind}
	_, err = m.Run("test", "-w", "/etc")
	require.Error(t, err, "this host's files can be written to")
	_, err = m.Start("dbus.log", "dbus-daemon", "--system", "--nofork", "--nopidfile")
	require.NoError(t, err)
	s.wait("the bus", func() (bool, error) {
		_, err := m.Run("test", "-S", "/run/dbus/system_bus_socket")
		return err == nil, err
	})
	for path, text := range kind.files {
		m.write(path, text)
	}
	return m
}

// takes waits until the manager has configured the members.
func (m *managed) takes(s *scene) {
	m.t.Helper()
	for _, member := range s.Members {
		s.wait(m.kind.name+" to take "+member.Name, func() (bool, error) { return m.holds(s, member.Name), nil })
	}
}

// holds tells whether the manager has configured a member: its own address is there.
func (m *managed) holds(s *scene, member string) bool {
	m.t.Helper()
	prefixes, err := s.Host.Addresses(member)
	require.NoError(m.t, err)
	return slices.Contains(prefixes, netip.MustParsePrefix("198.18.0.1/24"))
}

// begin starts the manager and waits until it answers.
func (m *managed) begin(s *scene) {
	m.t.Helper()
	var err error
	m.stop, err = m.Start("manager.log", m.kind.command[0], m.kind.command[1:]...)
	require.NoError(m.t, err)
	s.wait(m.kind.name, func() (bool, error) {
		_, err := m.Run(m.kind.knows[0], m.kind.knows[1:]...)
		return err == nil, err
	})
}

func (m *managed) write(path, text string) {
	m.t.Helper()
	_, err := m.Run("sh", "-c", `umask 077; printf %s "$2" >"$1"; case $1 in *.network) chmod 644 "$1"; esac`, "write", path, text)
	require.NoError(m.t, err)
}

// restart it, as its unit does.
func (m *managed) restart(s *scene) {
	m.t.Helper()
	require.NoError(m.t, m.stop())
	m.begin(s)
}

// reload has it read its files again.
func (m *managed) reload() {
	m.t.Helper()
	_, err := m.Run(m.kind.reload[0], m.kind.reload[1:]...)
	require.NoError(m.t, err)
}

// advice is what `run` and `check` print of a member that a manager would undo.
var advice = regexp.MustCompile("manages interface (\\S+) and would undo a move; write `([^`]*)` to (\\S+) and run `([^`]*)`")

// follow the advice of `check` until there is none, a member at a time; let is called after each.
func (m *managed) follow(s *scene, d *lab.Daemon, let func(member string)) {
	m.t.Helper()
	followed := map[string]bool{}
	s.wait("check to be content", func() (bool, error) {
		_, err := d.Run(s.context(), "check", "--config", configOf(d))
		if err == nil {
			return true, nil
		}
		found := advice.FindStringSubmatch(err.Error())
		if found == nil {
			return false, lab.Fatal(err)
		}
		// A manager has read its files a moment after it was told to.
		if member := found[1]; !followed[member] {
			followed[member] = true
			m.write(found[3], strings.ReplaceAll(found[2], `\n`, "\n")+"\n")
			require.Equal(m.t, strings.Join(m.kind.reload, " "), found[4])
			held := m.holds(s, member)
			m.reload()
			if m.kind.downs {
				require.Contains(m.t, err.Error(), "`ip link set "+member+" up`")
			}
			if m.kind.downs && held {
				s.wait(member+" to be set down", func() (bool, error) {
					l, err := s.Host.Link(member)
					return err == nil && l.Attrs().Flags&net.FlagUp == 0, err
				})
				s.ip("link", "set", member, "up")
			}
			if let != nil {
				let(member)
			}
		}
		return false, err
	})
}

// config of a daemon.
func configOf(d *lab.Daemon) string { return strings.TrimSuffix(d.Socket, ".sock") + ".yaml" }

// refused runs a daemon that must end with exit code 3, and `check`, which must say the same.
func (m *managed) refused(s *scene, d *lab.Daemon) {
	m.t.Helper()
	s.wait("ipmpd to refuse", func() (bool, error) { return d.Ended(), nil })
	require.NoError(m.t, d.Kill())
	log, err := os.ReadFile(d.Log)
	require.NoError(m.t, err)
	require.NoError(m.t, os.Truncate(d.Log, 0))
	_, err = d.Run(s.context(), "check", "--config", configOf(d))
	require.ErrorContains(m.t, err, "exit status 3")
	require.Contains(m.t, err.Error(), strings.TrimSpace(string(log)))
	require.Contains(m.t, string(log), m.kind.name+" manages interface hme0")
}

// TestManagersLeaveMembersAlone, once the drop-in that ipmpd prints is there: neither carrier loss nor
// a reload or restart of the manager costs a packet or moves anything.
func TestManagersLeaveMembersAlone(t *testing.T) {
	for _, kind := range []manager{networkd, networkManager} {
		t.Run(kind.name, func(t *testing.T) {
			kind.installed(t)
			var m *managed
			s := stage(t, setup{detection: slow, start: func(s *scene, binary, config string) (*lab.Daemon, error) {
				m = newManaged(t, s, kind)
				m.begin(s)
				m.takes(s)
				d, err := m.Daemon(binary, config)
				require.NoError(t, err)
				m.refused(s, d)
				m.follow(s, d, nil)
				return d, d.Start()
			}})
			m.works(s, s.traffic())
		})
	}
}

// TestNetworkdKeepsItsHandsOff: the other way out, with a manager that goes on managing.
func TestNetworkdKeepsItsHandsOff(t *testing.T) {
	networkd.installed(t)
	var m *managed
	s := stage(t, setup{detection: slow, start: func(s *scene, binary, config string) (*lab.Daemon, error) {
		m = newManaged(t, s, networkd)
		for _, member := range s.Members {
			lines := check.DropIn(member.Name)
			path, _, _ := strings.Cut(strings.TrimPrefix(lines[0], "write "), ",")
			m.write(path, strings.Join(lines[1:], "\n")+"\n")
		}
		m.begin(s)
		return m.Daemon(binary, config)
	}})
	out, err := s.daemon.Run(s.context(), "check", "--config", configOf(s.daemon))
	require.NoError(t, err)
	require.Contains(t, out, "managed by systemd-networkd, which keeps its hands off")
	m.works(s, s.traffic())
}

// works: failover, failback, and a manager that is reloaded and started anew.
func (m *managed) works(s *scene, tr *traffic) {
	m.t.Helper()
	s.at("hme0", lab.Data)
	for range 2 {
		_, err := s.Members[0].CutCarrier()
		require.NoError(m.t, err)
		require.Equal(m.t, "link", s.expect("failover hme0")[0].Cause)
		s.at("hme1", lab.Data)
		tr.flows(faults.Now())
		m.undisturbed(s, tr, "hme1")
		require.NoError(m.t, s.Members[0].Repair())
		s.expect("repair hme0", "failback hme0")
		s.at("hme0", lab.Data)
		tr.flows(faults.Now())
	}
	m.undisturbed(s, tr, "hme0")
	tr.finish()
}

// undisturbed by a reload and a restart of the manager.
func (m *managed) undisturbed(s *scene, tr *traffic, home string) {
	m.t.Helper()
	before := s.hostState()
	from := faults.Now()
	m.reload()
	m.restart(s)
	s.pass(time.Second) // in which it might do something
	tr.flows(faults.Now())
	s.at(home, lab.Data)
	tr.lossless(from)
	require.Equal(m.t, before, s.hostState())
}

// TestManagerThatComesLater takes a member over while ipmpd runs: it takes addresses off, at once or
// on carrier loss. They are put back, the peer goes on, a reload is refused with the drop-in, and the
// drop-in ends it.
func TestManagerThatComesLater(t *testing.T) {
	for _, kind := range []manager{networkd, networkManager} {
		t.Run(kind.name, func(t *testing.T) {
			kind.installed(t)
			var m *managed
			s := stage(t, setup{detection: slow, start: func(s *scene, binary, config string) (*lab.Daemon, error) {
				m = newManaged(t, s, kind)
				return m.Daemon(binary, config)
			}})
			tr := s.traffic()
			from := faults.Now()
			m.begin(s)
			if kind.name == "NetworkManager" {
				// It looks on while an interface has addresses already, until it is told to.
				for _, member := range s.Members {
					_, err := m.Run("nmcli", "connection", "up", member.Name)
					require.NoError(t, err)
				}
			}
			m.takes(s)
			s.pass(time.Second)
			s.reached(lab.Data)
			tr.flows(faults.Now())
			t.Logf("when it came: %q", tr.loses(from))
			_, err := s.daemon.Run(s.context(), "reload")
			require.ErrorContains(t, err, "exit status 3")
			require.ErrorContains(t, err, kind.name+" manages interface hme0 and would undo a move")
			_, err = s.Members[0].CutCarrier()
			require.NoError(t, err)
			s.wait("an answer by the other member", func() (bool, error) {
				is, err := s.where(lab.Data)
				return is == "hme1", err
			})
			s.reached(lab.Data)
			s.pass(7 * time.Second) // NetworkManager waits for six before it believes a carrier loss
			s.reached(lab.Data)
			require.NoError(t, s.Members[0].Repair())
			m.follow(s, s.daemon, func(member string) { s.state(member, "ok") })
			s.run("reload")
			s.at("hme0", lab.Data)
			tr.flows(faults.Now())
			s.news()
			m.works(s, tr)
		})
	}
}
