// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ErrOvertaken says that a prepared batch was fired since the operations were planned. They are
// not performed, or not any further: plan again from what is there now.
var ErrOvertaken = errors.New("overtaken by a failover")

// Failure is an operation that was not performed, and why.
type Failure struct {
	Op  Op
	Err error
}

// ErrNowhere says that an address was not deleted, because it could not be added where it belongs.
var ErrNowhere = errors.New("kept: it could not be added where it belongs")

// Epoch counts the batches fired. A plan belongs to the epoch of the last batch whose Result the
// planner has taken in; a planner that asks Applier.Epoch instead would overlook a batch that was
// fired but not yet told of, and undo it.
type Epoch uint64

// ApplierOptions of NewApplier. The zero value is what the daemon uses.
type ApplierOptions struct {
	// Before and After, when set, are called around every operation: fault points for tests. In Apply
	// the writer lock is *not* held then, and is taken for one operation at a time; a batch that
	// fires holds it from its first message to its last. Announcements are an operation without Kind.
	Before, After func(op *Op)
	// Kernel to write to; nil: the network namespace of the thread that calls NewApplier. With another one
	// no frames leave.
	Kernel Kernel
	// Delivers says whether the kernel delivers what comes for an address of an interface (of IPv6 it does
	// so a little after the address is there); nil: nobody asks.
	Delivers func(link int, ip netip.Addr) bool
}

// Applier is the one writer to a namespace's kernel (detection.md section 7). It is safe for
// concurrent use; operations of one Apply are performed in order.
type Applier struct {
	opt ApplierOptions

	mu     sync.Mutex // the kernel-writer lock
	kernel Kernel
	buf    []byte
	epoch  atomic.Uint64

	sender *Sender
}

// NewApplier opens its sockets in the network namespace of the calling thread.
func NewApplier(opt ApplierOptions) (*Applier, error) {
	if opt.Kernel != nil {
		return &Applier{opt: opt, kernel: opt.Kernel, sender: &Sender{fd: -1}}, nil
	}
	n, err := openNamespace()
	if err != nil {
		return nil, err
	}
	s, err := OpenSender()
	if err != nil {
		_ = n.Close()
		return nil, err
	}
	return &Applier{opt: opt, kernel: n, sender: s}, nil
}

// Sender is the socket that batches announce by; the Announcer uses it too.
func (a *Applier) Sender() *Sender { return a.sender }

// Epoch is the present epoch.
func (a *Applier) Epoch() Epoch { return Epoch(a.epoch.Load()) }

// Close leaves the multicast groups and closes the sockets. Nothing is undone.
func (a *Applier) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(a.kernel.Close(), a.sender.Close())
}

// Apply performs ops in order. Each is idempotent: what is there already, or gone already, is
// success. One that fails is reported and the rest goes on; the caller tries again. When a batch
// fired after epoch, the rest is reported as ErrOvertaken.
//
// The lock is let go between chunks of operations, so that a failover waits for at most one.
func (a *Applier) Apply(epoch Epoch, ops []Op) []Failure {
	var failures []Failure
	landed := false
	for len(ops) > 0 {
		if ops[0].Kind == DeleteAddress && len(failures) > 0 {
			ops, failures = keepStranded(ops, failures)
			if len(ops) == 0 {
				break
			}
		}
		if ops[0].Kind == DeleteAddress && !landed {
			landed = true
			a.land(ops)
		}
		n := a.chunk(ops)
		a.before(&ops[0])
		failed, overtaken := a.applyChunk(epoch, ops[:n])
		failures = append(failures, failed...)
		if overtaken {
			for i := range ops {
				failures = append(failures, Failure{ops[i], ErrOvertaken})
			}
			return failures
		}
		a.after(&ops[0])
		ops = ops[n:]
	}
	return failures
}

// land waits until the kernel delivers on their new interfaces what comes for the IPv6 addresses that are to be
// deleted from their old ones: what was measured without it are gaps of up to 65 ms. The lock is not held.
func (a *Applier) land(ops []Op) {
	const patience, pause = 100 * time.Millisecond, 100 * time.Microsecond
	if a.opt.Delivers == nil {
		return
	}
	deadline := time.Now().Add(patience)
	for i := range ops {
		for op := &ops[i]; op.lands() && !a.opt.Delivers(op.Owner, op.Prefix.Addr()) && time.Now().Before(deadline); {
			time.Sleep(pause)
		}
	}
}

// lands: the operation takes the copy of an address away of which another one may have just been added.
func (o *Op) lands() bool {
	return o.Kind == DeleteAddress && o.Owner != 0 && o.Owner != o.Link && o.Prefix.Addr().Is6()
}

// pointed: there are fault points, one around each operation.
func (a *Applier) pointed() bool { return a.opt.Before != nil || a.opt.After != nil }

func (a *Applier) before(op *Op) {
	if a.opt.Before != nil {
		a.opt.Before(op)
	}
}

func (a *Applier) after(op *Op) {
	if a.opt.After != nil {
		a.opt.After(op)
	}
}

// chunk is how many operations to perform under one hold of the lock: a run of messages, or one
// operation of another kind.
func (a *Applier) chunk(ops []Op) int {
	n := 0
	for n < len(ops) && n < chunkMessages && isMessage(ops[n].Kind) {
		// What failed to be added is known before anything is deleted.
		if n > 0 && ops[n].Kind == DeleteAddress && ops[n-1].Kind != DeleteAddress {
			break
		}
		n++
	}
	if n == 0 || a.pointed() {
		return 1
	}
	return n
}

// keepStranded takes the deletions of addresses that could not be added elsewhere out of ops: they
// become failures.
func keepStranded(ops []Op, failures []Failure) (rest []Op, all []Failure) {
	all = failures
	for i := range ops {
		if stranded(&ops[i], failures) {
			all = append(all, Failure{ops[i], ErrNowhere})
		} else {
			rest = append(rest, ops[i])
		}
	}
	return rest, all
}

func stranded(op *Op, failures []Failure) bool {
	return op.Kind == DeleteAddress && slices.ContainsFunc(failures, func(f Failure) bool {
		added := f.Op.Kind == AddAddress || f.Op.Kind == RestoreAddress
		return added && f.Op.Prefix.Addr() == op.Prefix.Addr() && f.Op.Link != op.Link
	})
}

func isMessage(k Kind) bool {
	return k != SetSysctl && k != JoinMulticast && k != LeaveMulticast
}

func (a *Applier) applyChunk(epoch Epoch, ops []Op) (failures []Failure, overtaken bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Epoch() != epoch {
		return nil, true
	}
	fail := func(op *Op, err error) { failures = append(failures, Failure{*op, err}) }
	if !isMessage(ops[0].Kind) {
		if err := a.kernel.Do(&ops[0]); err != nil {
			fail(&ops[0], err)
		}
		return failures, false
	}
	a.buf = a.buf[:0]
	sent := make([]*Op, 0, len(ops)) // by message
	for i := range ops {
		at := len(a.buf)
		buf, err := Encode(a.buf, &ops[i])
		if err != nil {
			fail(&ops[i], err)
			continue
		}
		a.buf = buf
		for range count(buf[at:]) {
			sent = append(sent, &ops[i])
		}
	}
	var last *Op // one failure is enough of an operation with several messages
	if len(sent) > 0 {
		a.kernel.Exchange(a.buf, func(i int, err error) {
			if sent[i] != last && !satisfied(sent[i].Kind, err) {
				last = sent[i]
				fail(last, err)
			}
		})
	}
	return failures, false
}

// satisfied: the error says that the operation's aim is reached already. A link that is gone
// (ENODEV) has taken its addresses, neighbours and nexthops with it.
func satisfied(k Kind, err error) bool {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch k {
	case DeleteAddress:
		return errno == unix.EADDRNOTAVAIL || errno == unix.ENODEV
	case DeleteRoute:
		// The route of a nexthop that is gone is gone; of that there are only the kernel's words.
		return errno == unix.ESRCH || errno == unix.ENODEV ||
			errno == unix.EINVAL && strings.Contains(err.Error(), "Nexthop id does not exist")
	case DeleteNexthop:
		return errno == unix.ENOENT
	case DeleteNeighbor:
		return errno == unix.ENOENT || errno == unix.ENODEV
	default:
		return errno == unix.EEXIST
	}
}
