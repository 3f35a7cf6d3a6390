// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// bfdFrame is a control packet of a state, as bird sends it.
func bfdFrame(state byte, port uint16) []byte {
	f := append(net.HardwareAddr{2, 2, 2, 2, 2, 2}, 2, 1, 1, 1, 1, 1, 8, 0)
	f = append(f, 0x45, 0, 0, 52, 0, 0, 0, 0, 255, 17, 0, 0, 192, 0, 2, 11, 192, 0, 2, 1)
	f = binary.BigEndian.AppendUint16(f, 49152)
	f = binary.BigEndian.AppendUint16(f, port)
	f = append(f, 0, 32, 0, 0)
	return append(f, append([]byte{1 << 5, state << 6, 3, 24}, make([]byte, 20)...)...)
}

func TestBFDStateOf(t *testing.T) {
	whole := bfdFrame(bfdUp, 3784)
	state, ok := bfdStateOf(whole)
	require.True(t, ok)
	require.EqualValues(t, bfdUp, state)
	for n := range whole {
		_, ok := bfdStateOf(whole[:n])
		require.False(t, ok, "%d octets of it", n)
	}
	whole[42] = 0
	_, ok = bfdStateOf(whole)
	require.False(t, ok, "another version")
}

func TestBFDEnd(t *testing.T) {
	e := &bfdEnd{}
	require.False(t, e.up())
	now := faults.Now()
	e.note(bfdUp, now-1e9)
	require.False(t, e.up(), "long ago")
	e.note(bfdUp, now)
	require.True(t, e.up())
	require.Zero(t, e.down(0))
	e.note(bfdDown, now+10)
	e.note(bfdDown, now+20)
	require.False(t, e.up())
	require.Equal(t, now+10, e.down(now), "the first that said so")
	require.Zero(t, e.down(now+10), "and not one from before")
}

// TestListenBFD hears what the host sends, by the kernel's stamps, and neither what comes in nor anything else.
func TestListenBFD(t *testing.T) {
	long(t)
	l := lab.Start(t, lab.Options{})
	e, err := listenBFD(l.Host, "hme0")
	require.NoError(t, err)
	defer e.close()
	before := faults.Now()
	require.NoError(t, l.Host.SendFrame("hme0", bfdFrame(2, 3785)), "another port")
	require.NoError(t, l.Peer.SendFrame("eth0", bfdFrame(bfdDown, 3784)), "it comes in")
	require.NoError(t, l.Host.SendFrame("hme0", bfdFrame(bfdUp, 3784)))
	l.Require(t, "the state", 5*time.Second, func() (bool, error) { return e.up(), nil })
	after := faults.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	require.Len(t, e.states, 1)
	require.Greater(t, e.states[0].first, before)
	require.Less(t, e.states[0].first, after)
}

func TestFamily(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & echo; wait")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
	pids := family(cmd.Process.Pid)
	require.Len(t, pids, 2)
	require.Contains(t, family(os.Getpid()), pids[1])
	for _, pid := range pids {
		p, err := os.FindProcess(pid)
		require.NoError(t, err)
		require.NoError(t, p.Kill())
	}
	_ = cmd.Wait() // killed
}
