// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/flow"
)

// Options of a trial. The zero value, but for Binary, is the seed's configuration at 400 us.
type Options struct {
	Binary    string        // the ipmpd to run
	Detection time.Duration // 0 means 400 us
	Attach    string        // "" means auto
	Lab       lab.Options
	Shape     Shape
	Rate      int           // of the download, bytes a second; 0 means 20 MB/s
	Window    time.Duration // judged after each cut; 0 means 250 ms
	// FirstLost drops the first announcements of each failover on the switch, all that come
	// within 5 ms of the first.
	FirstLost bool
	// Config replaces the generated configuration.
	Config string
}

// Trial is a lab with a daemon under traffic.
type Trial struct {
	Lab      *lab.Lab
	Daemon   *lab.Daemon
	Inbound  *flow.Flow // peer to data address
	Outbound *flow.Flow
	// Reference runs from peer to router and is never cut: its gaps are this machine's noise.
	Reference *flow.Flow
	Download  *flow.Download

	opts  Options
	flows *flow.Flows
	peer  netip.Addr // the peer's address that traffic goes to
	seen  int64      // newest history entry that is accounted for
}

// bound is how long anything that should happen in milliseconds may take before it is a failure.
const bound = 10 * time.Second

// New builds the lab, starts the daemon and, when all members are ok, the traffic.
func New(opts Options) (*Trial, error) {
	if opts.Detection == 0 {
		opts.Detection = 400 * time.Microsecond
	}
	if opts.Window == 0 {
		opts.Window = 250 * time.Millisecond
	}
	if opts.Shape.Members != 0 {
		opts.Lab.Members = opts.Shape.Members
	}
	l, err := lab.New(opts.Lab)
	if err != nil {
		return nil, err
	}
	t := &Trial{Lab: l, opts: opts}
	if err := t.start(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *Trial) start() error {
	config := t.opts.Config
	if config == "" {
		config = t.config()
	}
	var err error
	if t.Daemon, err = t.Lab.Daemon(t.opts.Binary, config); err != nil {
		return err
	}
	if err := t.Daemon.WaitReady(2 * bound); err != nil {
		return err
	}
	ends := t.traffic()
	// A first packet each way, so that no flow begins with the loss of one that waits for ARP.
	if err := t.Lab.Wait("the data address answers", bound, func() (bool, error) { return t.Lab.Peer.Reaches(ends.data) }); err != nil {
		return err
	}
	if err := t.place(); err != nil {
		return err
	}
	t.flows, err = flow.Start(
		flow.Spec{Name: "inbound", From: t.Lab.Peer, To: t.Lab.Host, Source: t.peer, Destination: ends.data},
		flow.Spec{Name: "outbound", From: t.Lab.Host, To: t.Lab.Peer, Source: ends.data, Destination: t.peer},
		flow.Spec{Name: "reference", From: t.Lab.Peer, To: t.Lab.Router, Source: ends.peer, Destination: ends.router},
	)
	if err != nil {
		return err
	}
	t.Inbound, t.Outbound, t.Reference = t.flows.Flows[0], t.flows.Flows[1], t.flows.Flows[2]
	t.Download, err = flow.StartDownload(flow.DownloadSpec{
		Client: t.Lab.Host, Server: t.Lab.Peer, Source: ends.data, Address: t.peer, Rate: t.opts.Rate,
	})
	if err != nil {
		return err
	}
	if err := t.Lab.Wait("traffic", bound, func() (bool, error) {
		return t.Inbound.ArrivedSince(0) > 1000 && t.Outbound.ArrivedSince(0) > 1000 && t.Download.Bytes() > 1e6, nil
	}); err != nil {
		return err
	}
	_, err = t.news()
	return err
}

// news are the history entries since the last call.
func (t *Trial) news() ([]lab.HistoryEntry, error) {
	history, err := t.Daemon.History()
	if err != nil {
		return nil, err
	}
	for i, e := range history {
		if e.ID > t.seen {
			t.seen = history[len(history)-1].ID
			return history[i:], nil
		}
	}
	return nil, nil
}

// Run executes an ipmpd command.
func (t *Trial) Run(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	_, err := t.Daemon.Run(ctx, args...)
	return err
}

// until lets the receivers log everything that arrived before a moment.
func (t *Trial) until(at int64) error {
	return t.Lab.Wait("the end of the window", bound, func() (bool, error) { return faults.Now() > at+int64(30*time.Millisecond), nil })
}

// Close ends everything. The download must have been finished for its checksum.
func (t *Trial) Close() error {
	var errs []error
	if t.flows != nil {
		errs = append(errs, t.flows.Close())
	}
	return errors.Join(append(errs, t.Lab.Close())...)
}
