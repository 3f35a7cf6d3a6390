// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// peerListener notes at accept who connects, and turns people other than root
// away when they hold too many connections, so that they cannot keep root out.
type peerListener struct {
	net.Listener
	others atomic.Int32
}

// peerConn is a connection whose peer is known.
type peerConn struct {
	net.Conn
	known bool
	uid   uint32
	done  func()
}

func (l *peerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p := &peerConn{Conn: c, done: func() {}}
		if u, ok := c.(*net.UnixConn); ok {
			if cred, err := peerCred(u); err == nil {
				p.known, p.uid = true, cred.Uid
			}
		}
		if p.known && p.uid == 0 {
			return p, nil
		}
		if l.others.Add(1) > maxConnections {
			l.others.Add(-1)
			_ = c.Close()
			continue
		}
		p.done = sync.OnceFunc(func() { l.others.Add(-1) })
		return p, nil
	}
}

func (p *peerConn) Close() error {
	p.done()
	return p.Conn.Close()
}

// plainText marks the answers that net/http gives on its own, to requests so
// malformed or large that no handler sees them. Ours are all JSON.
var plainText = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// Write replaces those by JSON, like every other error on this socket.
func (p *peerConn) Write(b []byte) (int, error) {
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 ")) {
		return p.Conn.Write(b)
	}
	head, text, found := bytes.Cut(b, plainText)
	if !found {
		return p.Conn.Write(b)
	}
	advice := "send a well-formed HTTP/1.1 request"
	if bytes.HasPrefix(head, []byte("HTTP/1.1 431")) {
		advice = fmt.Sprintf("send less than %d bytes of headers", maxHeader)
	}
	body := errorBody(fmt.Sprintf("malformed request (%s); %s", text, advice))
	_, err := fmt.Fprintf(p.Conn, "%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", head, len(body), body)
	if err != nil {
		return 0, err
	}
	return len(b), nil
}
