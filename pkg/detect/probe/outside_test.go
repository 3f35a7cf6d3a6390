// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the prober's thread runs outside Go's scheduler calls nothing that needs it: no stack that
// grows, no allocation, no write barrier. What the compiler made is looked at, because a branch that
// is taken once a year would crash the daemon then.
func TestOutsideNeedsNoGo(t *testing.T) {
	out, err := exec.Command("go", "list", "-export", "-f", "{{.Export}}", ".").Output()
	require.NoError(t, err)
	out, err = exec.Command("go", "tool", "objdump", "-s", `probe\.`, strings.TrimSpace(string(out))).Output()
	require.NoError(t, err)
	const ours = "github.com/ipmpd/ipmpd/pkg/detect/probe."
	calls := map[string][]string{} // by function
	begin, call := regexp.MustCompile(`^TEXT (\S+)\(SB\)`), regexp.MustCompile(`R_(?:CALL|CALLARM64):([^\s<]+)`)
	function := ""
	for line := range strings.Lines(string(out)) {
		if m := begin.FindStringSubmatch(line); m != nil {
			function = m[1]
			calls[function] = nil
		} else if m := call.FindStringSubmatch(line); m != nil {
			calls[function] = append(calls[function], m[1])
		}
	}
	free := map[string]bool{
		"golang.org/x/sys/unix.RawSyscall6": true,
		"runtime.nanotime":                  true,
		// These end the daemon, with a message that is not the right one.
		"runtime.panicBounds": true, "runtime.panicdivide": true, "runtime.panicshift": true, "runtime.panicmem": true,
		// It is not called while nobody watches, and outside nobody does.
		ours + "(*compiledTrack).tell": true,
	}
	seen := map[string]bool{}
	var look func(name, from string)
	look = func(name, from string) {
		if free[name] || seen[name] {
			return
		}
		seen[name] = true
		list, known := calls[name]
		require.True(t, known, "%s calls %s", from, name)
		for _, to := range list {
			look(to, name)
		}
	}
	look(ours+"(*Prober).rounds", "outside")
	for _, name := range []string{"(*Prober).send", "(*Prober).refused", "(*Prober).closeRounds", "(*instanceState).push"} {
		require.True(t, seen[ours+name], "%s is not reached: this test sees nothing", name)
	}
	require.Contains(t, calls[ours+"(*Prober).Update"], "runtime.morestack_noctxt", "this test does not see what it looks for")
}

// The collector neither waits for the thread nor takes away what it reads; plans and watches come
// and go meanwhile, and no round is lost by it.
func TestOutsideGoesOnWhileGoWorks(t *testing.T) {
	w := newWire(t)
	replies := w.socket(false)
	p := w.prober(nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			watch := p.Watch()
			runtime.GC()
			p.Unwatch(watch)
			if err := p.Update(w.plan); err != nil {
				t.Error(err)
				return
			}
			runtime.GC()
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	start(t, p.Run)
	w.ingress(replies, func() bool {
		a, _ := p.Snapshot(0)
		b, _ := p.Snapshot(2)
		return a.Answered >= 300 && b.Answered >= 300
	})
	track, _ := p.TrackSnapshot(0)
	require.InDelta(t, float64(track.Ticks), float64(track.Begun+track.Skipped), 2)
}

// Whoever sleeps until a far round hears the bell, also when it rang before he fell asleep.
func TestBellWakes(t *testing.T) {
	p := &Prober{}
	for _, ring := range []func(){p.ring, func() {}} {
		woke := make(chan struct{})
		go func() {
			p.sleep(nowNs()+time.Hour.Nanoseconds(), 0)
			close(woke)
		}()
		ring()
		select {
		case <-woke:
		case <-time.After(10 * time.Second):
			t.Fatal("it sleeps on")
		}
	}
}
