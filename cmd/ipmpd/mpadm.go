// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/control"
)

// newMpadmCommand is the program under the name if_mpadm: `-d IF` is offline, `-r IF` online, with
// what Solaris says of every case (spec section 7.2).
func newMpadmCommand() *cobra.Command {
	var detach, reattach string
	cmd := &cobra.Command{
		Use:                   "if_mpadm -d IF | -r IF",
		Short:                 "take an interface out of service (-d) or back (-r)",
		Args:                  cobra.ArbitraryArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (detach == "") == (reattach == "") || len(args) > 0 {
				return usageError("one of -d and -r, and one interface; usage: %s", cmd.UseLine())
			}
			a := mpadm{client: globalsOf(cmd).client(), exists: linkExists, name: detach + reattach}
			act := a.offline
			if reattach != "" {
				act = a.online
			}
			warning, err := act(cmd.Context())
			if err != nil {
				return fmt.Errorf("fatal: %w", err)
			}
			if warning != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "if_mpadm: warning: %s\n", warning)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&detach, "detach", "d", "", "take `IF` out of service")
	cmd.Flags().StringVarP(&reattach, "reattach", "r", "", "take `IF` back into service")
	return bySolarisName(cmd)
}

// mpadm is one call of if_mpadm.
type mpadm struct {
	client *control.Client
	exists func(name string) bool
	name   string
}

func linkExists(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// look finds the interface, as far as the daemon can be asked; what is wrong with the daemon is
// returned apart, because that the interface does not exist is said first.
func (a *mpadm) look(ctx context.Context) (g *control.Group, m *control.Interface, noDaemon, err error) {
	status, noDaemon := a.client.Status(ctx)
	if noDaemon == nil {
		for i := range status.Groups {
			for j := range status.Groups[i].Interfaces {
				if status.Groups[i].Interfaces[j].Name == a.name {
					g, m = &status.Groups[i], &status.Groups[i].Interfaces[j]
				}
			}
		}
	}
	if (m == nil || m.State == "missing") && !a.exists(a.name) {
		return nil, nil, nil, fmt.Errorf("cannot get flags on %s: %w", a.name, unix.ENXIO)
	}
	return g, m, noDaemon, nil
}

func (a *mpadm) offline(ctx context.Context) (warning string, err error) {
	g, m, noDaemon, err := a.look(ctx)
	switch {
	case err != nil:
		return "", err
	case noDaemon == nil && m != nil && m.State == "offline":
		return "", fmt.Errorf("%s is already offline", a.name)
	}
	return a.command(ctx, "offline", m, noDaemon, func() error {
		return a.client.Offline(ctx, a.name, othersFailed(g, a.name))
	})
}

func (a *mpadm) online(ctx context.Context) (warning string, err error) {
	_, m, noDaemon, err := a.look(ctx)
	switch {
	case err != nil:
		return "", err
	case noDaemon == nil && m != nil && m.State != "offline":
		return "", fmt.Errorf("%s is not offline", a.name)
	}
	return a.command(ctx, "online", m, noDaemon, func() error { return a.client.Online(ctx, a.name) })
}

// othersFailed: in a group that has failed any other member that is there will do.
func othersFailed(g *control.Group, name string) bool {
	if g.State != "failed" {
		return false
	}
	for _, m := range g.Interfaces {
		if m.Name != name && m.State != "offline" && m.State != "missing" {
			return true
		}
	}
	return false
}

// command gives the daemon's answer Solaris' words.
func (a *mpadm) command(ctx context.Context, verb string, m *control.Interface, noDaemon error, do func() error) (warning string, err error) {
	cannot := fmt.Sprintf("cannot %s %s", verb, a.name)
	if noDaemon != nil {
		return "", fmt.Errorf("%s: cannot contact the daemon: %w", cannot, noDaemon)
	}
	const unknown = "not a physical interface or not in a group"
	if m == nil {
		return "", fmt.Errorf("%s: %s; see `ipmpstat -i`", cannot, unknown)
	}
	err = do()
	var refused *control.Error
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return "", fmt.Errorf("%s: %s; see `ipmpstat -i`", cannot, unknown)
	case errors.As(err, &refused) && refused.Status == http.StatusLocked:
		return "", fmt.Errorf("%s: hardware address not unique in group; give it one of its own: `ip link set %s address ...`", cannot, a.name)
	case errors.As(err, &refused) && refused.Status == http.StatusConflict && verb == "offline":
		return "", fmt.Errorf("%s: no other functioning interface in the group; `ipmpd offline %s --force` does it all the same", cannot, a.name)
	case err != nil:
		return "", fmt.Errorf("%s: %w", cannot, err)
	}
	// Somebody else may have wanted the contrary.
	if _, m, noDaemon, err = a.look(ctx); err != nil || noDaemon != nil || m == nil {
		return "", nil
	}
	if is := m.State == "offline"; is != (verb == "offline") {
		return fmt.Sprintf("%s is %s all the same", a.name, m.State), nil
	}
	return "", nil
}
