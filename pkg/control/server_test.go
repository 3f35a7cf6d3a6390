// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBackend answers from what it was given and notes what it was told.
type fakeBackend struct {
	mu       sync.Mutex
	status   Status
	history  []HistoryEntry
	commands []Command
	refusal  error
	reloads  int
}

func (f *fakeBackend) Status() *Status         { return &f.status }
func (f *fakeBackend) History() []HistoryEntry { return f.history }

func (f *fakeBackend) Command(_ context.Context, cmd Command) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commands = append(f.commands, cmd)
	return f.refusal
}

func (f *fakeBackend) Reload(context.Context) (*Reload, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusal != nil {
		return nil, f.refusal
	}
	f.reloads++
	return &Reload{Summary: "nothing changed"}, nil
}

// twoProbes are told, then the source waits for its reader to go.
func twoProbes(ctx context.Context, f func(Probe) error) error {
	for _, state := range []string{ProbeAcked, ProbeLost} {
		if err := f(Probe{Interface: "hme0", Probe: 200, State: state}); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestProbes(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, nil)
	enough := errors.New("enough")
	var states []string
	err := ts.client.Probes(t.Context(), func(p Probe) error {
		require.Equal(t, "hme0", p.Interface)
		if states = append(states, p.State); len(states) == 2 {
			return enough
		}
		return nil
	})
	require.ErrorIs(t, err, enough)
	require.Equal(t, []string{"acked", "lost"}, states)

	// The end of the daemon is the end of the stream.
	err = ts.client.Probes(t.Context(), func(p Probe) error {
		if p.State == ProbeLost {
			go ts.stop()
		}
		return nil
	})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "read the probes of")
}

func twoMembers() Status {
	return Status{Version: "test", Groups: []Group{{Name: "unrealgrp1", State: "degraded",
		Interfaces: []Interface{{Name: "hme0", State: "ok"}, {Name: "hme1", State: "failed"}}}},
		Monitor: []Interface{{Name: "hme9", State: "ok"}}}
}

type testServer struct {
	path   string
	client *Client
	events *Broadcaster
	stop   func() // ends the server and waits for it
}

func startServer(t *testing.T, backend Backend, change func(*Server)) *testServer {
	t.Helper()
	ts := &testServer{path: filepath.Join(t.TempDir(), "s.sock"), events: &Broadcaster{}}
	ts.client = NewClient(ts.path)
	l, err := Listen(ts.path)
	require.NoError(t, err)
	s := NewServer(ServerOptions{Listener: l, Backend: backend, Events: ts.events, Log: slog.New(slog.DiscardHandler),
		Version: func() Version { return Version{Version: "1.2.3", Features: []string{"tcx"}} }, Probes: twoProbes})
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	ts.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
		_, err := os.Lstat(ts.path)
		require.ErrorIs(t, err, os.ErrNotExist, "the socket is taken away at the end")
	})
	t.Cleanup(ts.stop)
	return ts
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root")
	}
	t.Skip("this test needs root")
}

func TestReading(t *testing.T) {
	backend := &fakeBackend{status: twoMembers(), history: []HistoryEntry{{ID: 3, Kind: "failover"}, {ID: 5, Kind: "repair"}}}
	ts := startServer(t, backend, nil)
	ctx := t.Context()

	s, err := ts.client.Status(ctx)
	require.NoError(t, err)
	require.JSONEq(t, mustJSON(t, twoMembers()), mustJSON(t, s))

	h, err := ts.client.History(ctx)
	require.NoError(t, err)
	require.Len(t, h, 2)
	e, err := ts.client.HistoryEntry(ctx, 5)
	require.NoError(t, err)
	require.Equal(t, "repair", e.Kind)
	_, err = ts.client.HistoryEntry(ctx, 4)
	require.EqualError(t, err, "no history entry 4; the ids that exist are listed by `ipmpd history`")

	v, err := ts.client.Version(ctx)
	require.NoError(t, err)
	require.Equal(t, &Version{Version: "1.2.3", Features: []string{"tcx"}}, v)
}

func TestCommands(t *testing.T) {
	needRoot(t)
	backend := &fakeBackend{}
	ts := startServer(t, backend, nil)
	require.NoError(t, ts.client.Offline(t.Context(), "hme0", false))
	require.NoError(t, ts.client.Offline(t.Context(), "hme0", true))
	require.NoError(t, ts.client.Online(t.Context(), "hme0"))
	require.NoError(t, ts.client.Release(t.Context(), ""))
	require.NoError(t, ts.client.Release(t.Context(), "a&b= c"))
	require.Equal(t, []Command{{Verb: Offline, Interface: "hme0"}, {Verb: Offline, Interface: "hme0", Force: true},
		{Verb: Online, Interface: "hme0"}, {Verb: Release}, {Verb: Release, Group: "a&b= c"}}, backend.commands)

	for _, tt := range []struct {
		err    error
		status int
		want   string
	}{
		{Refused("it is the last usable member", "use --force"), 409, "offline hme1: it is the last usable member; use --force"},
		{fmt.Errorf("group g: %w", NotFound("no such member", "look")), 404, "offline hme1: group g: no such member; look"},
		{errors.New("netlink is <broken>"), 500, "offline hme1: netlink is <broken>"},
	} {
		backend.refusal = tt.err
		err := ts.client.Offline(t.Context(), "hme1", false)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, tt.status, e.Status)
		require.EqualError(t, err, tt.want)
	}
	require.ErrorContains(t, ts.client.Online(t.Context(), "a/b"), "no such path")
	require.ErrorContains(t, ts.client.Online(t.Context(), "far-too-long-for-linux"), "is no interface name; see")
}

func TestReload(t *testing.T) {
	needRoot(t)
	backend := &fakeBackend{}
	ts := startServer(t, backend, nil)
	answer, err := ts.client.Reload(t.Context())
	require.NoError(t, err)
	require.Equal(t, &Reload{Summary: "nothing changed", Warnings: List[string]{}}, answer)
	require.Equal(t, 1, backend.reloads)

	// The place in the file comes first.
	backend.refusal = &Error{Status: WrongConfig, Cause: "f.yaml:2:1: no; do"}
	_, err = ts.client.Reload(t.Context())
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, WrongConfig, e.Status)
	require.EqualError(t, err, "f.yaml:2:1: no; do")
}

// asNobody calls f on a thread of another user and group. The thread ends with it.
func asNobody(t *testing.T, gid int, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: nobody else shall run as nobody
		defer close(done)
		// The raw calls are of one thread, unlike those of package syscall.
		for _, call := range [][4]uintptr{
			{unix.SYS_SETGROUPS, 0, 0, 0},
			{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
			{unix.SYS_SETRESUID, 65534, 65534, 65534},
		} {
			if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				done <- errno
				return
			}
		}
		f()
	}()
	require.NoError(t, <-done)
}

func TestPermissions(t *testing.T) {
	needRoot(t)
	backend := &fakeBackend{status: twoMembers()}
	ts := startServer(t, backend, nil)
	// t.TempDir lies below directories that only root may enter.
	for dir := filepath.Dir(ts.path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	info, err := os.Stat(ts.path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o660), info.Mode().Perm())

	asNobody(t, 65534, func() {
		_, err = net.Dial("unix", ts.path)
	})
	require.ErrorIs(t, err, os.ErrPermission)

	const gid = 54321
	require.NoError(t, os.Chown(ts.path, 0, gid))
	ask := func(request string) (status int, body string) {
		var conn net.Conn
		asNobody(t, gid, func() { conn, err = net.Dial("unix", ts.path) })
		require.NoError(t, err)
		defer conn.Close()
		return exchange(t, conn, request)
	}
	status, _ := ask("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
	require.Equal(t, 200, status)
	for _, path := range []string{"/v1/interfaces/hme0/offline", "/v1/interfaces/hme0/online", "/v1/reload", "/v1/release"} {
		status, body := ask("POST " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		require.Equal(t, 403, status, path)
		require.JSONEq(t, `{"error":"only root may change something; use sudo"}`, body)
	}
	require.Empty(t, backend.commands)
	require.NoError(t, ts.client.Online(t.Context(), "hme0"))
	require.Len(t, backend.commands, 1)
}

// Others may not keep root from the socket by holding connections.
func TestConnectionsOfOthersAreLimited(t *testing.T) {
	needRoot(t)
	ts := startServer(t, &fakeBackend{}, nil)
	for dir := filepath.Dir(ts.path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	require.NoError(t, os.Chown(ts.path, 65534, 65534))
	var conns []net.Conn
	asNobody(t, 65534, func() {
		for range maxConnections + 1 {
			c, err := net.Dial("unix", ts.path)
			if err != nil {
				break
			}
			conns = append(conns, c)
		}
	})
	require.Len(t, conns, maxConnections+1)
	last := conns[maxConnections]
	require.NoError(t, last.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := last.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "one too many")
	_, err = ts.client.Version(t.Context())
	require.NoError(t, err, "root gets through")
	for _, c := range conns {
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool {
		status := 0
		asNobody(t, 65534, func() {
			c, err := net.Dial("unix", ts.path)
			if err != nil {
				return
			}
			defer c.Close()
			fmt.Fprint(c, "GET /v1/version HTTP/1.0\r\n\r\n")
			if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				status = resp.StatusCode
				resp.Body.Close()
			}
		})
		return status == 200
	}, 10*time.Second, 10*time.Millisecond, "and the others again, when they have closed theirs")
}
