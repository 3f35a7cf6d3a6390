// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Kernel is what an Applier writes to: the network namespace of a thread, or in tests a host that is made
// up (test/fakehost). Calls come one at a time.
type Kernel interface {
	// Exchange hands over whole rtnetlink messages, which are performed in order; one that fails does not
	// stop the rest. failed is called for each that did, by its number.
	Exchange(messages []byte, failed func(i int, err error))
	// Do performs an operation that is no message: a sysctl, a multicast membership.
	Do(op *Op) error
	Close() error
}

// namespace is the network namespace in which it was opened.
type namespace struct {
	*conn
	groups *memberships
}

func openNamespace() (*namespace, error) {
	c, err := openConn()
	if err != nil {
		return nil, err
	}
	return &namespace{conn: c, groups: newMemberships()}, nil
}

// Do implements Kernel.
func (n *namespace) Do(op *Op) error {
	switch op.Kind {
	case SetSysctl:
		path := filepath.Join("/proc/sys", filepath.FromSlash(op.Key))
		if err := os.WriteFile(path, []byte(op.Value), 0o644); err != nil {
			return fmt.Errorf("write %q to %s: %w", op.Value, op.Key, err)
		}
		return nil
	case JoinMulticast:
		return n.groups.join(op.Link, op.Prefix.Addr())
	default:
		return n.groups.leave(op.Link, op.Prefix.Addr())
	}
}

// Close leaves the multicast groups.
func (n *namespace) Close() error { return errors.Join(n.groups.close(), n.close()) }
