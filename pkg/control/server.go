// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// What one reader may cost.
const (
	maxBody        = 64 << 10
	maxHeader      = 16 << 10
	readTimeout    = 5 * time.Second  // a request, from its first byte to its last
	writeTimeout   = 10 * time.Second // an answer, or one event
	idleTimeout    = time.Minute
	maxStreams     = 64  // of events and probes
	maxConnections = 128 // of peers that are not root
	shutdownGrace  = time.Second
)

// Command is something that an operator wants done.
type Command struct {
	Verb      string // Offline, Online or Release
	Interface string // of Offline and Online
	Group     string // of Release; "": all of them, and the end of the daemon
	Force     bool
}

// The verbs of Command.
const (
	Offline = "offline"
	Online  = "online"
	Release = "release"
)

// Backend is the daemon as the server sees it. Its methods are called from
// many goroutines; what they return is not changed afterwards by either side.
type Backend interface {
	Status() *Status
	History() []HistoryEntry // newest last
	// Command carries out cmd and returns when it is done. An *Error tells the
	// operator why not.
	Command(ctx context.Context, cmd Command) error
	// Reload reads the configuration again and returns when it is in force. An *Error tells the
	// operator why the old one still is.
	Reload(ctx context.Context) (*Reload, error)
}

// ServerOptions is what a Server needs; all of it.
type ServerOptions struct {
	Listener net.Listener // from Listen; Run closes it
	Backend  Backend
	Events   *Broadcaster
	Version  func() Version
	Probes   ProbeSource
	Log      *slog.Logger
}

// Server answers on the control socket.
type Server struct {
	opts    ServerOptions
	ready   chan struct{}
	streams atomic.Int32

	// Fields for the sake of tests.
	readTimeout, writeTimeout time.Duration
	queueLength               int
}

// NewServer returns a server that Run starts.
func NewServer(opts ServerOptions) *Server {
	return &Server{opts: opts, ready: make(chan struct{}), readTimeout: readTimeout, writeTimeout: writeTimeout, queueLength: QueueLength}
}

// Ready is closed when the server answers.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run serves until ctx ends, which is no error, or the listener fails.
func (s *Server) Run(ctx context.Context) error {
	base, cancel := context.WithCancel(ctx)
	defer cancel()
	srv := &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: s.readTimeout,
		ReadTimeout:       s.readTimeout,
		WriteTimeout:      s.writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// OPTIONS * would be answered without us.
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return base },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if p, ok := c.(*peerConn); ok && p.known {
				return context.WithValue(ctx, peerKey{}, p.uid)
			}
			return ctx
		},
		ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(&peerListener{Listener: s.opts.Listener}) }()
	close(s.ready)
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		// The streams end with base; what else is under way gets a moment.
		grace, stop := context.WithTimeout(context.Background(), shutdownGrace)
		defer stop()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close()
		}
		err = <-served
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}
