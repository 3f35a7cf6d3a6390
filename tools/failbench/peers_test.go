// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// The shapes of arena that the peers use, each with a contender that is simple enough to be trusted.

// handBFD is one end of a session in this process: a control packet every 10 ms, Up while the other's come.
func handBFD(t *topology, ns *lab.Netns, _, _ string, own, other netip.Addr) ([]*process, error) {
	var conn *net.UDPConn
	err := ns.Do(func() (err error) {
		conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(own, 3784)))
		return err
	})
	if err != nil {
		return nil, err
	}
	var heard atomic.Int64
	go func() {
		buf := make([]byte, 100)
		for {
			if _, err := conn.Read(buf); err == nil {
				heard.Store(time.Now().UnixNano())
			} else if _, err := ns.Addresses("lo"); err != nil {
				_ = conn.Close() // the lab is gone
				return
			}
		}
	}()
	go func() {
		for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
			state := byte(bfdDown)
			if time.Now().UnixNano()-heard.Load() < 30e6 {
				state = bfdUp
			}
			frame := bfdFrame(state, 3784)
			if _, err := conn.WriteToUDPAddrPort(frame[42:], netip.AddrPortFrom(other, 3784)); err != nil {
				if _, err := ns.Addresses("lo"); err != nil {
					return
				}
			}
		}
	}()
	return nil, nil
}

// handVRRP moves the address to the second host while the first one's member is cut.
type handVRRP struct {
	t    *topology
	stop chan struct{}
	done chan error
}

func (h *handVRRP) Setup(t *topology) error {
	h.t, h.stop, h.done = t, make(chan struct{}), make(chan error, 1)
	if err := h.take(t.Host, 0); err != nil {
		return err
	}
	go func() { h.done <- h.watch() }()
	return nil
}

func (h *handVRRP) take(ns *lab.Netns, i int) error {
	m := h.t.Members[i]
	if err := ns.AddAddr(m.Name, netip.PrefixFrom(lab.Data, 24).String()); err != nil {
		return err
	}
	return ns.SendFrame(m.Name, lab.GratuitousARP(m.MAC(), lab.Data))
}

func (h *handVRRP) watch() error {
	moved := false
	for {
		select {
		case <-h.stop:
			return nil
		case <-time.After(time.Millisecond):
		}
		states, err := h.t.Members[0].Port.States()
		if err != nil {
			return err
		}
		cut := len(states) > 0
		switch {
		case cut && !moved:
			err = h.take(h.t.Second, 1)
		case !cut && moved:
			if err = h.t.Second.DelAddr("hme1", netip.PrefixFrom(lab.Data, 24).String()); err == nil {
				err = h.take(h.t.Host, 0)
			}
		}
		if moved = cut; err != nil {
			return err
		}
	}
}

func (h *handVRRP) Ready() (bool, error) {
	second, err := has(h.t.Second, "hme1")
	return !second, err
}

func (h *handVRRP) Teardown() error {
	close(h.stop)
	return <-h.done
}

func TestPeersShapes(t *testing.T) {
	long(t)
	here := func() (string, error) { return "by hand", nil }
	list := []entrant{
		{Name: "hand-bfd", Family: "hand", Detects: true, Subject: here, New: func() contender { return &bfd{launch: handBFD} }},
		{Name: "hand-vrrp", Family: "hand", Shape: twoHosts, Subject: here, New: func() contender { return &handVRRP{} }},
	}
	p := plan{counts: counts{other: 2, cost: 1}, turn: 2}
	cells, err := p.cells(list, scenes())
	require.NoError(t, err)
	var log bytes.Buffer
	r := &run{plan: p, out: t.TempDir(), machine: "here", log: &log, subjects: map[string]subject{}}
	require.NoError(t, r.all(t.Context(), cells))
	got := map[string]*result.Cell{}
	loaded, damaged, err := result.LoadAll(r.dir())
	require.NoError(t, err)
	require.Empty(t, damaged)
	for _, c := range loaded {
		got[c.Name()] = c
	}
	const least, most = int64(15e6), int64(2e9) // three times 10 ms, less one interval and some
	for _, name := range []string{"hand-bfd.silent", "hand-bfd.silent-tx", "hand-bfd.carrier"} {
		c := got[name]
		require.NotNil(t, c, "%s", log.String())
		require.Len(t, c.Samples, 2, "%s: %s", name, c.NotRun)
		require.True(t, c.Detects)
		for _, s := range c.Samples {
			require.False(t, s.Unrecovered)
			require.NotNil(t, s.Inbound, name)
			require.Greater(t, s.Inbound.Gap, least)
			require.Less(t, s.Inbound.Gap, most)
			require.Positive(t, s.Reference.Sent)
			if name == "hand-bfd.silent" {
				require.NotNil(t, s.Outbound)
				require.Greater(t, s.Outbound.Gap, least)
			}
			// Without carrier the host says nothing that could be heard, once the kernel has stopped the queue: that
			// may come up to a second later than the cut.
			if name == "hand-bfd.carrier" && s.Outbound != nil {
				require.Greater(t, s.Outbound.Gap, least)
				require.Less(t, s.Outbound.Gap, most)
			}
		}
	}
	c := got["hand-vrrp.silent"]
	require.NotNil(t, c, "%s", log.String())
	require.Len(t, c.Samples, 2, c.NotRun)
	for _, s := range c.Samples {
		require.False(t, s.Unrecovered)
		require.Positive(t, s.Inbound.Lost)
		require.Positive(t, s.Outbound.Lost)
		require.Equal(t, 1, s.Moves)
	}
	require.Contains(t, got["hand-vrrp.cost"].NotRun, "no process", "a cell that cannot run says so")
}
