// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// waitStep is how often Wait asks.
const waitStep = 5 * time.Millisecond

type fatalError struct{ error }

// Fatal ends a [Lab.Wait] at once: the condition can no longer come true.
func Fatal(err error) error { return fatalError{err} }

// IsFatal tells whether an error is of [Fatal].
func IsFatal(err error) bool {
	var fatal fatalError
	return errors.As(err, &fatal)
}

// Wait asks until ok is true. An error of the condition is what it still waits for, unless it is
// [Fatal]. When the limit passes, the error carries the lab's state.
func (l *Lab) Wait(what string, limit time.Duration, ok func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	for {
		done, err := ok()
		if done && err == nil {
			return nil
		}
		if IsFatal(err) || time.Now().After(deadline) {
			if err == nil {
				err = errors.New("not yet true")
			}
			return fmt.Errorf("wait %s for %s: %w\n%s", limit, what, err, l.Dump())
		}
		time.Sleep(waitStep)
	}
}

// Dump describes the lab as it is now: addresses, routes, neighbours and nexthops of every
// namespace, and each daemon's status, history and last log lines.
func (l *Lab) Dump() string {
	var b strings.Builder
	for _, n := range l.spaces {
		fmt.Fprintf(&b, "=== %s\n", n.Name)
		commands := []string{"-d addr", "route show table all", "-6 route show table all", "neigh", "nexthop"}
		if strings.Contains(n.Name, "-switch") {
			commands = []string{"-br link"}
		}
		for _, args := range commands {
			out, err := exec.Command("ip", append([]string{"-n", n.Name}, strings.Fields(args)...)...).CombinedOutput()
			fmt.Fprintf(&b, "--- ip %s\n%s", args, out)
			if err != nil {
				fmt.Fprintln(&b, err)
			}
		}
	}
	for _, d := range l.daemons {
		fmt.Fprintf(&b, "=== %s\n", d.Socket)
		for _, path := range []string{"/v1/status", "/v1/history"} {
			var body string
			if err := d.get(path, &body); err != nil {
				body = err.Error()
			}
			fmt.Fprintf(&b, "--- %s\n%s\n", path, body)
		}
		out, err := exec.Command("tail", "-n", "60", d.Log).CombinedOutput()
		fmt.Fprintf(&b, "--- %s\n%s", d.Log, out)
		if err != nil {
			fmt.Fprintln(&b, err)
		}
	}
	return b.String()
}
