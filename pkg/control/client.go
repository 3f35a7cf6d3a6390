// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// maxLine bounds an event, maxAnswer any other answer, so that a wrong peer
// cannot fill the reader's memory.
const (
	maxLine     = 1 << 20
	maxAnswer   = 64 << 20
	dialTimeout = 5 * time.Second
)

// Client asks the daemon at one socket. Without a daemon every method returns
// a *NoDaemonError, for a refusal an *Error.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client for the socket at path. It opens nothing yet.
func NewClient(path string) *Client {
	dialer := net.Dialer{Timeout: dialTimeout}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives:  true,
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
	}}}
}

// Status returns what is now.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var s Status
	if err := c.get(ctx, "/v1/status", &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// History returns the last 1,000 entries, newest last.
func (c *Client) History(ctx context.Context) ([]HistoryEntry, error) {
	var entries []HistoryEntry
	return entries, c.get(ctx, "/v1/history", &entries)
}

// HistoryEntry returns one entry.
func (c *Client) HistoryEntry(ctx context.Context, id uint64) (*HistoryEntry, error) {
	var entries []HistoryEntry
	if err := c.get(ctx, "/v1/history?id="+strconv.FormatUint(id, 10), &entries); err != nil {
		return nil, err
	}
	if len(entries) != 1 {
		return nil, fmt.Errorf("the daemon at %s sent %d entries for one id", c.path, len(entries))
	}
	return &entries[0], nil
}

// Version returns the version of the daemon, not of this program.
func (c *Client) Version(ctx context.Context) (*Version, error) {
	var v Version
	if err := c.get(ctx, "/v1/version", &v); err != nil {
		return nil, err
	}
	return &v, nil
}

// Offline takes an interface out of service and returns when it is. Without
// force the last usable member of a group is refused.
func (c *Client) Offline(ctx context.Context, ifname string, force bool) error {
	path := "/v1/interfaces/" + url.PathEscape(ifname) + "/offline"
	if force {
		path += "?force=1"
	}
	return c.post(ctx, path)
}

// Online takes an interface back into service.
func (c *Client) Online(ctx context.Context, ifname string) error {
	return c.post(ctx, "/v1/interfaces/"+url.PathEscape(ifname)+"/online")
}

// Reload lets the daemon read its configuration again and returns when that is in force. A
// configuration that is wrong is an *Error of status [WrongConfig], with the place; the old one then
// stays in force.
func (c *Client) Reload(ctx context.Context) (*Reload, error) {
	resp, err := c.do(ctx, http.MethodPost, "/v1/reload")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer Reload
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.path, err)
	}
	return &answer, nil
}

// Release takes everything of a group off the host and returns when it is off; "": of all groups,
// and then the daemon ends.
func (c *Client) Release(ctx context.Context, group string) error {
	path := "/v1/release"
	if group != "" {
		path += "?group=" + url.QueryEscape(group)
	}
	return c.post(ctx, path)
}

// Watch calls f for every event, first for the state now, until f or the
// stream returns an error or ctx ends; it returns that error. A daemon that
// ends is io.ErrUnexpectedEOF.
func (c *Client) Watch(ctx context.Context, f func(Event) error) error {
	return stream(ctx, c, "events", f)
}

// Probes calls f for every probe that the daemon tells of; it ends as Watch does.
func (c *Client) Probes(ctx context.Context, f func(Probe) error) error {
	return stream(ctx, c, "probes", f)
}

// stream reads one object a line.
func stream[T any](ctx context.Context, c *Client, name string, f func(T) error) error {
	resp, err := c.do(ctx, http.MethodGet, "/v1/"+name)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for lines.Scan() {
		var e T
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read the %s of %s: %w", name, c.path, err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = lines.Err()
	if err == nil || errors.Is(err, unix.ECONNRESET) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read the %s of %s: %w", name, c.path, err)
}

func (c *Client) get(ctx context.Context, path string, v any) error {
	resp, err := c.do(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.path, err)
	}
	return nil
}

func (c *Client) post(ctx context.Context, path string) error {
	resp, err := c.do(ctx, http.MethodPost, path)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// do sends a request and turns everything but 200 into an error.
func (c *Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://ipmpd"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s: %w", c.path, path, err)
	}
	resp, err := c.http.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTDIR):
		return nil, &NoDaemonError{Path: c.path}
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("may not open %s; become root or a member of the socket's group", c.path)
	case err != nil:
		return nil, fmt.Errorf("ask the daemon at %s: %w", c.path, unwrapURL(err))
	case resp.StatusCode == http.StatusOK:
		return resp, nil
	}
	defer resp.Body.Close()
	var body struct {
		Error string `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxLine)).Decode(&body); err != nil || body.Error == "" {
		return nil, fmt.Errorf("the daemon at %s answered %s and gave no reason", c.path, resp.Status)
	}
	return nil, &Error{Status: resp.StatusCode, Cause: body.Error}
}

// unwrapURL drops the made-up http://ipmpd address from an error.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
