// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// container has a /sys that nobody can write to, no bpffs, and a /run of its own.
const container = "mount -t sysfs -o ro sysfs /sys\nmount -t tmpfs tmpfs /run\n"

// by starts the daemon in the host's network namespace by a command.
func by(command ...string) starter {
	return func(s *scene, binary, config string) (*lab.Daemon, error) {
		line := make([]string, len(command))
		for i, word := range command {
			line[i] = strings.ReplaceAll(word, "HOST", s.Host.Name)
		}
		return s.DaemonBy(line, binary, config)
	}
}

// TestWaysIntoANamespace: however the daemon got there, a failure is found, and its crash and next
// start cost no packet. Where there is no bpffs it mounts one for itself.
func TestWaysIntoANamespace(t *testing.T) {
	long(t)
	for name, start := range map[string]starter{
		"ip netns exec": by("ip", "netns", "exec", "HOST"),
		// Its mounts stay this machine's, but for what the daemon mounts.
		"nsenter": by("nsenter", "--net=/run/netns/HOST", "unshare", "--mount", "--propagation", "slave"),
		"container": func(s *scene, binary, config string) (*lab.Daemon, error) {
			room, err := s.Room(container)
			if err != nil {
				return nil, err
			}
			return room.Daemon(binary, config)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := stage(t, setup{start: start})
			tr := s.traffic()
			s.at("hme0", lab.Data)
			require.NoError(t, s.Members[0].CutSilent())
			require.Equal(t, "probe", s.expect("failover hme0")[0].Cause)
			s.at("hme1", lab.Data)
			require.NoError(t, s.Members[0].Repair())
			s.expect("repair hme0", "failback hme0")
			s.at("hme0", lab.Data)
			tr.flows(faults.Now())

			from := faults.Now()
			require.NoError(t, s.daemon.Kill())
			require.NoError(t, s.daemon.Start())
			s.wait("the daemon to be ready again", s.ready)
			tr.flows(faults.Now())
			tr.lossless(from)
			log, err := os.ReadFile(s.daemon.Log)
			require.NoError(t, err)
			require.NotContains(t, string(log), "nothing can be pinned")

			_, err = s.Members[0].CutCarrier()
			require.NoError(t, err)
			s.expect("failover hme0")
			s.at("hme1", lab.Data)
			tr.flows(faults.Now())
			tr.finish()
		})
	}
}

// TestDaemonsSideBySide, each in a network namespace of its own, know nothing of each other; names
// and addresses are the same on purpose.
func TestDaemonsSideBySide(t *testing.T) {
	one := stage(t, setup{start: by("ip", "netns", "exec", "HOST")})
	two := stage(t, setup{start: by("ip", "netns", "exec", "HOST")})
	require.NoError(t, one.Members[0].CutSilent())
	one.expect("failover hme0")
	one.at("hme1", lab.Data)
	two.at("hme0", lab.Data)
	_, err := two.Members[1].CutCarrier()
	require.NoError(t, err)
	two.expect("failover hme1")
	require.NoError(t, two.daemon.Kill())
	one.at("hme1", lab.Data)
	require.NoError(t, one.Members[0].Repair())
	one.expect("repair hme0", "failback hme0")
	one.at("hme0", lab.Data)
	two.at("hme0", lab.Data)
}

// TestSecondDaemonIsRefused in the namespace of the first, whatever its socket, state file and mounts
// are, and before it has touched anything.
func TestSecondDaemonIsRefused(t *testing.T) {
	s := stage(t, setup{})
	tr := s.traffic()
	before, from := s.hostState(), faults.Now()
	room, err := s.Room(container)
	require.NoError(t, err)
	config, err := os.ReadFile(strings.TrimSuffix(s.daemon.Socket, ".sock") + ".yaml")
	require.NoError(t, err)
	for name, start := range map[string]func(binary, config string) (*lab.Daemon, error){
		"in the same mounts": s.Daemon, "in a container": room.Daemon,
	} {
		second, err := start(program, string(config))
		require.NoError(t, err)
		s.wait("the second to end", func() (bool, error) { return second.Ended(), nil })
		log, err := os.ReadFile(second.Log)
		require.NoError(t, err)
		require.Contains(t, string(log), "another ipmpd (pid ", name)
		require.Contains(t, string(log), "runs in this network namespace; end it first", name)
	}
	require.Equal(t, before, s.hostState())
	tr.flows(faults.Now())
	tr.lossless(from)
	require.NoError(t, s.Members[0].CutSilent())
	s.expect("failover hme0")
	s.at("hme1", lab.Data)
}
