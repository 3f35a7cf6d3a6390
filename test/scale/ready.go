// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// readiness hears what the daemon tells systemd.
type readiness struct {
	conn  *net.UnixConn
	ready chan time.Time
	done  chan struct{}
}

func listenReady(path string) (*readiness, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for readiness: %w", err)
	}
	// The daemon inherits it.
	if err := os.Setenv("NOTIFY_SOCKET", path); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	r := &readiness{conn: conn, ready: make(chan time.Time, 16), done: make(chan struct{})}
	go r.listen()
	return r, nil
}

func (r *readiness) listen() {
	defer close(r.done)
	buf := make([]byte, 4096)
	for {
		n, err := r.conn.Read(buf)
		if err != nil {
			return // closed
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			r.ready <- time.Now()
		}
	}
}

func (r *readiness) close() {
	_ = r.conn.Close()
	<-r.done
}

// forget what was said before.
func (r *readiness) forget() {
	for len(r.ready) > 0 {
		<-r.ready
	}
}

// wait for the time at which the daemon was ready.
func (r *readiness) wait(patience time.Duration, ended func() bool) (time.Time, error) {
	deadline := time.After(patience)
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case at := <-r.ready:
			return at, nil
		case <-deadline:
			return time.Time{}, fmt.Errorf("the daemon is not ready after %s", patience)
		case <-look.C:
			if ended() {
				return time.Time{}, errors.New("the daemon has ended")
			}
		}
	}
}
