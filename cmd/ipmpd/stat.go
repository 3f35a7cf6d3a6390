// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/pkg/control"
	"github.com/ipmpd/ipmpd/pkg/solaris"
)

const statOptions = "[-n] [-o FIELD,... [-P]] -a|-g|-i|-p|-t"

// newIpmpstatCommand is the program under its Solaris name.
func newIpmpstatCommand() *cobra.Command {
	cmd := newStatCommand()
	cmd.Use = "ipmpstat " + statOptions
	return bySolarisName(cmd)
}

func newStatCommand() *cobra.Command {
	modes := []struct {
		mode       solaris.Mode
		name, what string
		set        bool
	}{
		{solaris.Addresses, "addresses", "data addresses", false},
		{solaris.Groups, "groups", "groups", false},
		{solaris.Interfaces, "interfaces", "interfaces", false},
		{solaris.Probes, "probes", "probes, as they are answered or lost, until interrupted", false},
		{solaris.Targets, "targets", "targets of the probes", false},
	}
	var o solaris.Options
	var numeric bool
	cmd := &cobra.Command{
		Use:   "stat " + statOptions,
		Short: "what ipmpstat of Solaris shows; also under that name",
		Long: "Prints what ipmpstat of Solaris prints, with its fields and widths; a link named ipmpstat does the\n" +
			"same. GROUP and GROUPNAME are both the group's name. Times below 100 ms are printed as 400us, 1.00ms.",
		Args:                  cobra.ArbitraryArgs,
		DisableFlagsInUseLine: true,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		wrong := func(what string) error {
			if cmd.HasParent() {
				what = cmd.Name() + ": " + what
			}
			return usageError("%s; usage: %s", what, cmd.UseLine())
		}
		for _, m := range modes {
			if m.set && o.Mode != 0 {
				return wrong("more than one of -a -g -i -p -t")
			}
			if m.set {
				o.Mode = m.mode
			}
		}
		switch {
		case o.Mode == 0:
			return wrong("none of -a -g -i -p -t")
		case len(args) > 0:
			return wrong(fmt.Sprintf("unexpected argument %q", args[0]))
		case cmd.Flags().Changed("output") && o.Fields == "":
			return wrong("-o names no field")
		}
		if !numeric {
			o.Name = hostNames(cmd.Context())
		}
		o.Screen = screenLines(cmd.OutOrStdout())
		s, warnings, err := solaris.NewStat(cmd.OutOrStdout(), o)
		if err != nil {
			return wrong(err.Error())
		}
		warn := func(text string) {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", programName(cmd.Root().Name()), text)
		}
		for _, w := range warnings {
			warn(w)
		}
		return stat(cmd.Context(), globalsOf(cmd).client(), s, o.Mode, warn)
	}
	flags := cmd.Flags()
	for i := range modes {
		m := &modes[i]
		flags.BoolVarP(&m.set, m.name, string(m.mode), false, m.what)
	}
	flags.BoolVarP(&numeric, "numeric", "n", false, "addresses as numbers, not as names of hosts")
	flags.StringVarP(&o.Fields, "output", "o", "", "only these `FIELDS`, or all")
	flags.BoolVarP(&o.Parsable, "parsable", "P", false, "for programs: no header, colons between fields")
	// Solaris' own hidden one: what is now in place of a snapshot, which is what is asked for here.
	var live bool
	flags.BoolVarP(&live, "live", "L", false, "")
	_ = flags.MarkHidden("live")
	return cmd
}

// stat asks the daemon and prints.
func stat(ctx context.Context, client *control.Client, s *solaris.Stat, mode solaris.Mode, warn func(string)) error {
	start := time.Now()
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if mode != solaris.Probes {
		return s.Status(status)
	}
	if !anyProbed(status) {
		return errors.New("no interface is probed; give the members test addresses, or see `probe:` in the configuration")
	}
	err = client.Probes(ctx, func(p control.Probe) error {
		if p.State == control.ProbeGap {
			warn(fmt.Sprintf("%d probes are not shown; the output was not read fast enough", p.Lost))
			return nil
		}
		return s.Probe(&p, start)
	})
	if ctx.Err() != nil {
		return nil // the operator has seen enough
	}
	return err
}

func anyProbed(s *control.Status) bool {
	for _, g := range s.Groups {
		for _, m := range g.Interfaces {
			if len(m.TargetsFrom) > 0 {
				return true
			}
		}
	}
	return false
}

// namePatience is how long all names together may take: who looks at a failure must not wait for a
// resolver that it has cut off.
const namePatience = 500 * time.Millisecond

// hostNames shows addresses as hosts without their domain, as far as names are known in time.
func hostNames(ctx context.Context) func(netip.Addr) string {
	known := map[netip.Addr]string{}
	left := namePatience
	return func(a netip.Addr) string {
		if name, ok := known[a]; ok {
			return name
		}
		known[a] = a.String()
		if left > 0 {
			began := time.Now()
			soon, cancel := context.WithTimeout(ctx, left)
			names, err := net.DefaultResolver.LookupAddr(soon, a.String())
			cancel()
			left -= time.Since(began)
			if err == nil {
				known[a] = shortName(a, names)
			}
		}
		return known[a]
	}
}

// shortName is the first name without its domain, the address where there is none.
func shortName(a netip.Addr, names []string) string {
	if len(names) > 0 {
		if name, _, _ := strings.Cut(names[0], "."); name != "" {
			return name
		}
	}
	return a.String()
}

// screenLines of a terminal; 0: it is none.
func screenLines(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Row)
}
