// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/tools/failbench/result"
)

// burnEnv makes this binary a busy loop: a guest has no shell that is worth the name.
const burnEnv = "FAILBENCH_BURN"

// burn does not return when this process was started for it.
func burn() {
	if os.Getenv(burnEnv) == "" {
		return
	}
	for i := 0; ; i++ {
		if i&(1<<30-1) == 0 {
			runtime.Gosched()
		}
	}
}

// burners are two busy loops for each processor.
func burners(dir string) (list []*process, err error) {
	for i := range 2 * runtime.NumCPU() {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), burnEnv+"=1", "GOMAXPROCS=1")
		p, err := start(nil, filepath.Join(dir, "burn"+strconv.Itoa(i)+".log"), cmd)
		if err != nil {
			return list, err
		}
		list = append(list, p)
	}
	return list, nil
}

// busy is a cut while all processors are.
type busy struct {
	cut
	loops []*process
}

func (b *busy) Prepare(a *arena) (err error) {
	b.loops, err = burners(a.Dir)
	return err
}

func (b *busy) Finish(*arena) error { return stopAll(b.loops) }

// bulk is a cut while iperf3 moves what it can in both directions.
type bulk struct {
	cut
	pair []*process
	rate float64 // octets a second, the best that was seen before the first cut
}

// bulkLeast is octets a second that the flows do not come to by far.
const bulkLeast = 20e6

func (b *bulk) Prepare(a *arena) error {
	path, err := exec.LookPath("iperf3")
	if err != nil {
		return fmt.Errorf("%w; install it", err)
	}
	server, err := start(a.Peer, filepath.Join(a.Dir, "iperf3-server.log"), exec.Command(path, "-s", "-B", lab.Peer.String()))
	if err != nil {
		return err
	}
	b.pair = append(b.pair, server)
	// The server takes a moment before it listens; the client does not try again by itself.
	log := filepath.Join(a.Dir, "iperf3.log")
	if err := a.wait("iperf3 to move something", bound, func() (bool, error) {
		if len(b.pair) == 1 {
			client, err := start(a.Host, log, exec.Command(path, "-c", lab.Peer.String(), "-B", lab.Data.String(), "--bidir", "-t", "3600"))
			if err != nil {
				return false, lab.Fatal(err)
			}
			b.pair = append(b.pair, client)
		}
		if err := b.pair[1].ended(); err != nil {
			b.pair = b.pair[:1]
			return false, err
		}
		rate, err := rateOf(a)
		return rate > bulkLeast, err
	}); err != nil {
		return err
	}
	for range 20 {
		rate, err := rateOf(a)
		if err != nil {
			return err
		}
		b.rate = max(b.rate, rate)
	}
	return nil
}

// rateOf the active member, octets a second in a sample of 20 ms.
func rateOf(a *arena) (float64, error) {
	const sample = 20 * time.Millisecond
	before, err := octets(a)
	if err != nil {
		return 0, err
	}
	time.Sleep(sample)
	after, err := octets(a)
	if after < before { // another member is the active one
		return 0, err
	}
	return float64(after-before) / sample.Seconds(), err
}

// octets that the active member has moved.
func octets(a *arena) (uint64, error) {
	link, err := a.Host.Link(a.active.Name)
	if err != nil {
		return 0, err
	}
	return link.Attrs().Statistics.RxBytes + link.Attrs().Statistics.TxBytes, nil
}

// Strike when the traffic is at its rate again: TCP takes its time after a cut.
func (b *bulk) Strike(a *arena) (result.Sample, error) {
	err := a.wait("bulk traffic", bound, func() (bool, error) {
		if err := b.pair[1].ended(); err != nil {
			return false, lab.Fatal(err)
		}
		rate, err := rateOf(a)
		return rate > b.rate/2, err
	})
	if err != nil {
		return result.Sample{}, err
	}
	return b.cut.Strike(a)
}

func (b *bulk) Finish(*arena) error { return stopAll(b.pair) }
