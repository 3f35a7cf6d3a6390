// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
)

// DownloadSpec says who fetches from whom.
type DownloadSpec struct {
	Client, Server *lab.Netns
	// Source is the client's address: a data address. Server listens on Address.
	Source, Address netip.Addr
	Rate            int // bytes a second; 0 means 20 MB/s
}

// Download is one TCP connection that runs until it is finished.
type Download struct {
	bytes    atomic.Int64
	stop     atomic.Bool
	done     sync.WaitGroup
	listener net.Listener
	conn     *net.TCPConn

	sent, received   hash.Hash
	sendErr, readErr error
}

// DownloadResult of a finished download.
type DownloadResult struct {
	Bytes    int64
	Sent     [sha256.Size]byte
	Received [sha256.Size]byte
}

const chunk = 64 << 10

// StartDownload connects; bytes then come at the rate until [Download.Finish].
func StartDownload(spec DownloadSpec) (*Download, error) {
	if spec.Rate == 0 {
		spec.Rate = 20_000_000
	}
	d := &Download{sent: sha256.New(), received: sha256.New()}
	err := spec.Server.Do(func() (err error) {
		d.listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(spec.Address, 0)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("download server: %w", err)
	}
	d.done.Go(func() { d.sendErr = d.serve(spec.Rate) })
	err = spec.Client.Do(func() error {
		dialer := net.Dialer{Timeout: 5 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(spec.Source, 0))}
		conn, err := dialer.DialContext(context.Background(), "tcp", d.listener.Addr().String())
		if err == nil {
			d.conn = conn.(*net.TCPConn)
		}
		return err
	})
	if err != nil {
		closeErr := d.listener.Close()
		d.done.Wait()
		return nil, errors.Join(fmt.Errorf("download client: %w", err), closeErr)
	}
	d.done.Go(func() { d.readErr = d.read() })
	return d, nil
}

// serve sends pseudo-random bytes over the first connection, and no other.
func (d *Download) serve(rate int) (err error) {
	conn, err := d.listener.Accept()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	random := rand.NewChaCha8([32]byte([]byte("ipmpd's lab: 32 bytes for a seed")))
	buf := make([]byte, chunk)
	pause := time.Duration(float64(chunk) / float64(rate) * float64(time.Second))
	next := time.Now()
	for !d.stop.Load() {
		if _, err := random.Read(buf); err != nil {
			return err
		}
		d.sent.Write(buf)
		if _, err := io.Copy(conn, bytes.NewReader(buf)); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		next = next.Add(pause)
		if behind := time.Since(next); behind > 100*time.Millisecond {
			next = time.Now() // after a stall: on at the rate, without catching up
		}
		time.Sleep(time.Until(next))
	}
	return nil
}

func (d *Download) read() error {
	buf := make([]byte, 2*chunk)
	for {
		n, err := d.conn.Read(buf)
		d.received.Write(buf[:n])
		d.bytes.Add(int64(n))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
	}
}

// Bytes received so far.
func (d *Download) Bytes() int64 { return d.bytes.Load() }

// Finish ends the transfer, waits for its last byte for at most limit, and compares the checksums.
// It is an error when the connection broke or they differ.
func (d *Download) Finish(limit time.Duration) (DownloadResult, error) {
	d.stop.Store(true)
	deadline := time.Now().Add(limit)
	err := errors.Join(d.conn.SetReadDeadline(deadline), d.listener.Close())
	d.done.Wait()
	r := DownloadResult{Bytes: d.bytes.Load(), Sent: [32]byte(d.sent.Sum(nil)), Received: [32]byte(d.received.Sum(nil))}
	err = errors.Join(err, d.sendErr, d.readErr, d.conn.Close())
	if err == nil && r.Sent != r.Received {
		err = fmt.Errorf("checksum: sent %x, received %x", r.Sent, r.Received)
	}
	if err != nil {
		return r, fmt.Errorf("download: %w", err)
	}
	return r, nil
}
