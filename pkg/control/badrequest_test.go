// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// exchange sends bytes and returns the answer.
func exchange(t *testing.T, conn net.Conn, request string) (status int, body string) {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := io.WriteString(conn, request)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	return resp.StatusCode, string(data)
}

func TestBadRequests(t *testing.T) {
	needRoot(t) // to be told more than that only root may
	backend := &fakeBackend{}
	ts := startServer(t, backend, nil)
	for _, tt := range []struct {
		name, request string
		status        int
		want          string // part of the error
	}{
		{"garbage", "garbage\r\n\r\n", 400, "malformed request"},
		{"another protocol", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400, "malformed request"},
		{"no host", "GET /v1/status HTTP/1.1\r\n\r\n", 400, "missing required Host"},
		{"HTTP/9", "GET /v1/status HTTP/9.9\r\nHost: x\r\n\r\n", 505, "malformed request"},
		{"large header", "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 2*maxHeader) + "\r\n\r\n", 431, "send less than 16384 bytes"},
		{"large body", fmt.Sprintf("POST /v1/interfaces/hme0/offline HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", maxBody+1, strings.Repeat("a", maxBody+1)), 413, "larger than 65536 bytes"},
		{"bad chunks", "POST /v1/interfaces/hme0/offline HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "broke off"},
		{"no such path", "GET /v2/status HTTP/1.1\r\nHost: x\r\n\r\n", 404, `no such path "/v2/status"`},
		{"no path at all", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no such path"},
		{"wrong method", "DELETE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 405, "use GET"},
		{"reading what writes", "GET /v1/interfaces/hme0/offline HTTP/1.1\r\nHost: x\r\n\r\n", 405, "use POST"},
		{"id no number", "GET /v1/history?id=x HTTP/1.1\r\nHost: x\r\n\r\n", 400, `"x" is no history id`},
		{"id too large", "GET /v1/history?id=18446744073709551616 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "is no history id"},
		{"force what", "POST /v1/interfaces/hme0/offline?force=maybe HTTP/1.1\r\nHost: x\r\n\r\n", 400, "neither 1 nor 0"},
		{"name with a slash", "POST /v1/interfaces/..%2F..%2Fx/offline HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no such path"},
		{"name with a blank", "POST /v1/interfaces/a%20b/offline HTTP/1.1\r\nHost: x\r\n\r\n", 400, "is no interface name"},
		{"name that is not UTF-8", "POST /v1/interfaces/%ff%20/offline HTTP/1.1\r\nHost: x\r\n\r\n", 400, "is no interface name"},
		{"no name", "POST /v1/interfaces//offline HTTP/1.1\r\nHost: x\r\n\r\n", 400, "is no interface name"},
		{"reading reload", "GET /v1/reload HTTP/1.1\r\nHost: x\r\n\r\n", 405, "use POST"},
		{"release of nothing", "POST /v1/release?group= HTTP/1.1\r\nHost: x\r\n\r\n", 400, `"group=" does not name one group`},
		{"release misspelt", "POST /v1/release?grup=g HTTP/1.1\r\nHost: x\r\n\r\n", 400, "does not name one group"},
		{"release of two", "POST /v1/release?group=g&group=h HTTP/1.1\r\nHost: x\r\n\r\n", 400, "does not name one group"},
		{"release malformed", "POST /v1/release?group=%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "does not name one group"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("unix", ts.path)
			require.NoError(t, err)
			defer conn.Close()
			status, body := exchange(t, conn, tt.request)
			require.Equal(t, tt.status, status)
			var e struct {
				Error string `json:"error"`
			}
			require.NoError(t, json.Unmarshal([]byte(body), &e), body)
			require.Contains(t, e.Error, tt.want)
			require.Regexp(t, `^[^\n]+; [^\n]+$`, e.Error, "cause and advice, on one line")
		})
	}
	require.Empty(t, backend.commands)
}

// A peer that never finishes its request is cut off.
func TestSlowRequest(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, func(s *Server) { s.readTimeout = 20 * time.Millisecond })
	for _, start := range []string{"", "GET /v1/st", "GET /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"} {
		conn, err := net.Dial("unix", ts.path)
		require.NoError(t, err)
		_, err = io.WriteString(conn, start)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		_, err = io.Copy(io.Discard, conn)
		require.NoError(t, err, "%q: the server hangs up", start)
		require.NoError(t, conn.Close())
	}
}

// Nor does one that sends a byte now and then keep its connection: the time is for the whole request.
func TestDrippingRequest(t *testing.T) {
	ts := startServer(t, &fakeBackend{}, func(s *Server) { s.readTimeout = 50 * time.Millisecond })
	conn, err := net.Dial("unix", ts.path)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: ")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := io.WriteString(conn, "a")
		return err != nil
	}, 10*time.Second, 5*time.Millisecond, "the server hangs up")
	_, err = ts.client.Version(t.Context())
	require.NoError(t, err, "and answers others")
}
