// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The helper is this binary under another name, as it is the daemon's.
func TestMain(m *testing.M) {
	if os.Args[0] == HelperName {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := Serve(ctx, os.Stdin, os.Stdout); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return
	}
	os.Exit(m.Run())
}

// bench is a Runner at work.
type bench struct {
	t      *testing.T
	dir    string
	runner *Runner
	queue  chan Event
	mu     sync.Mutex
	log    bytes.Buffer
	end    func()
}

func (b *bench) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *bench) said() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

func start(t *testing.T, limit time.Duration) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), queue: make(chan Event, 5000)}
	b.runner = &Runner{Log: slog.New(slog.NewTextHandler(b, nil)), Env: []string{"PATH=/usr/bin:/bin", "DIR=" + b.dir}, limit: limit}
	b.runner.Next = func(ctx context.Context) (Event, error) {
		select {
		case ev := <-b.queue:
			return ev, nil
		default:
		}
		select {
		case ev := <-b.queue:
			return ev, nil
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.runner.Run(ctx) }()
	b.end = sync.OnceFunc(func() { cancel(); require.NoError(t, <-ended) })
	t.Cleanup(b.end)
	return b
}

// script makes an executable file and returns its path.
func (b *bench) script(name, text string) string {
	path := filepath.Join(b.dir, name)
	require.NoError(b.t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	return path
}

func (b *bench) publish(names ...string) {
	for _, n := range names {
		b.queue <- Event{n, map[string]string{"event": n}}
	}
}

// file that a script has written.
func (b *bench) file(name string) string {
	data, err := os.ReadFile(filepath.Join(b.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	require.NoError(b.t, err)
	return string(data)
}

func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	require.Eventually(b.t, ok, 20*time.Second, 5*time.Millisecond, "%s; the log: %s", what, b.said())
}

// alive: it runs, and does not only wait to be reaped.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func (b *bench) pid(file string) int {
	pid, err := strconv.Atoi(strings.TrimSpace(b.file(file)))
	require.NoError(b.t, err)
	return pid
}

func TestEachEventToEachProgram(t *testing.T) {
	b := start(t, 0)
	one := b.script("one", `read line; echo "one $1 $line" >>$DIR/out`)
	two := b.script("two", `echo "two $1 $(cat)" >>$DIR/out`)
	b.runner.Set([]string{two, one})
	b.publish("a", "b")
	const want = "two a {\"event\":\"a\"}\none a {\"event\":\"a\"}\ntwo b {\"event\":\"b\"}\none b {\"event\":\"b\"}\n"
	b.until("four runs in their order", func() bool { return b.file("out") == want })
	b.end()
	require.Empty(t, b.said(), "what works is not talked about")
}

// The programs' surroundings are no accident of the daemon's.
func TestSurroundings(t *testing.T) {
	t.Setenv("IPMPD_SECRET", "leaks")
	// A file without close-on-exec, as careless shells leave them open in what they start.
	leak, err := unix.Open(t.TempDir(), unix.O_RDONLY, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Close(leak)) }()
	// The daemon's threads run before others'.
	hurry(t, -5)
	defer hurry(t, 0)
	b := start(t, 0)
	b.runner.Set([]string{b.script("look", fmt.Sprintf(
		`{ cat /proc/$PPID/comm; env | cut -d= -f1 | sort | xargs; pwd; echo $#; nice; [ -e /proc/$$/fd/%d ] || echo closed; } >$DIR/.out; mv $DIR/.out $DIR/out`, leak))})
	b.publish("a")
	b.until("a run", func() bool { return b.file("out") != "" })
	// Shells add PWD and the like.
	require.Regexp(t, `^ipmpd-notify\nDIR (OLDPWD )?PATH( PWD)?( SHLVL)?( _)?\n/\n1\n0\nclosed\n$`, b.file("out"))
}

// hurry sets the niceness of all threads of this process. Without rights to that it stays 0.
func hurry(t *testing.T, niceness int) {
	if os.Getuid() != 0 {
		return
	}
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		require.NoError(t, err)
		require.NoError(t, unix.Setpriority(unix.PRIO_PROCESS, tid, niceness))
	}
}

func TestWhatGoesWrong(t *testing.T) {
	for _, r := range []struct {
		name, text, want string
		limit            time.Duration
	}{
		{"fails", "echo no line to the pager >&2; exit 3", `failed, exit status 3; run it by hand with one event on its standard input" program=PROGRAM event=a output="no line to the pager"`, 0},
		{"dies", "kill -SEGV $$", `failed, signal: segmentation fault`, 0},
		{"hangs", "echo begun; exec sleep 1000", `did not end within 200ms and was killed; let it do its work in less, or hand it on" program=PROGRAM event=a output=begun`, 200 * time.Millisecond},
		{"deaf", "trap '' TERM INT HUP; while :; do sleep 1000; done", `did not end within 200ms`, 200 * time.Millisecond},
		{"floods", "while :; do echo y; done", `wrote more than 64 KiB and was ended; let it write less`, 0},
		{"floods and hears nothing", "trap '' PIPE; while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done 2>/dev/null", `wrote more than 64 KiB and was ended`, 0},
	} {
		t.Run(r.name, func(t *testing.T) {
			b := start(t, r.limit)
			bad := b.script("bad", r.text)
			b.runner.Set([]string{bad, b.script("good", "echo $1 >>$DIR/out")})
			b.publish("a", "b")
			b.until("the next program and the next event", func() bool { return b.file("out") == "a\nb\n" })
			b.end()
			said := strings.ReplaceAll(b.said(), bad, "PROGRAM")
			require.Contains(t, said, "level=WARN msg=\"a notify program "+r.want)
			require.Equal(t, 1, strings.Count(said, "level="), "the same is said once: %s", said)
			require.Less(t, len(said), 2*keptOutput+500)
		})
	}
}

func TestWhatCannotBeRun(t *testing.T) {
	b := start(t, 0)
	plain := filepath.Join(b.dir, "plain")
	require.NoError(t, os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644))
	odd := filepath.Join(b.dir, "odd")
	require.NoError(t, os.WriteFile(odd, []byte("no program\n"), 0o755))
	for _, r := range []struct{ program, want string }{
		{filepath.Join(b.dir, "none"), "cannot be run: no such file or directory; create it, or the interpreter that its first line names"},
		{plain, "cannot be run: permission denied; make it executable, chmod +x"},
		{odd, "cannot be run: exec format error; begin a script with #! and its interpreter"},
		{b.dir, "cannot be run: permission denied"},
	} {
		b.runner.Set([]string{r.program})
		b.publish("a", "b")
		b.until(r.want, func() bool {
			return strings.Contains(b.said(), r.want) && strings.Contains(b.said(), "program="+r.program+" ")
		})
	}
	b.runner.Set([]string{b.script("none", "echo $1 >>$DIR/out")})
	b.publish("c")
	b.until("one that was made later", func() bool { return b.file("out") == "c\n" })
	b.until("that is said", func() bool { return strings.Contains(b.said(), "level=INFO msg=\"a notify program works again\"") })
}

// The whole process group ends, at the limit and when the program has ended in time.
func TestNobodyIsLeft(t *testing.T) {
	for _, r := range []struct{ name, text string }{
		{"at the limit", "sleep 1000 & echo $! >$DIR/.pid; mv $DIR/.pid $DIR/pid; wait"},
		{"in the background", "sleep 1000 & echo $! >$DIR/.pid; mv $DIR/.pid $DIR/pid"},
	} {
		t.Run(r.name, func(t *testing.T) {
			b := start(t, 300*time.Millisecond)
			b.runner.Set([]string{b.script("p", r.text), b.script("next", "echo $1 >$DIR/out")})
			b.publish("a")
			b.until("the next program", func() bool { return b.file("out") != "" })
			pid := b.pid("pid")
			b.until("the child's end", func() bool { return !alive(pid) })
		})
	}
}

// Who leaves the group may live, and keeps nobody waiting though it holds the output open.
func TestHandedOn(t *testing.T) {
	b := start(t, 0)
	b.runner.Set([]string{b.script("p", "setsid sh -c 'echo $$ >$DIR/.pid; mv $DIR/.pid $DIR/pid; exec sleep 1000' & while [ ! -e $DIR/pid ]; do sleep 0.01; done"),
		b.script("next", "echo $1 >$DIR/out")})
	b.publish("a")
	b.until("the next program", func() bool { return b.file("out") != "" })
	pid := b.pid("pid")
	require.True(t, alive(pid))
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
}

func TestReloadLosesNothing(t *testing.T) {
	b := start(t, 0)
	b.runner.Set([]string{b.script("slow", "echo s$1 >>$DIR/out; while [ ! -e $DIR/go ]; do sleep 0.01; done")})
	b.publish("a", "b", "c")
	b.until("the first run", func() bool { return b.file("out") == "sa\n" })
	b.runner.Set([]string{b.script("quick", "echo q$1 >>$DIR/out")})
	b.script("go", "")
	b.until("the rest, by the new program", func() bool { return b.file("out") == "sa\nqb\nqc\n" })
}

// The helper is lost: the event under way too, the next one not.
func TestHelperLost(t *testing.T) {
	b := start(t, 0)
	b.runner.Set([]string{b.script("p", `echo $1 >>$DIR/out; [ $1 != a ] || kill -9 $PPID; sleep 0.05; echo end $1 >>$DIR/out`)})
	b.publish("a", "b")
	b.until("the next event", func() bool { return strings.HasSuffix(b.file("out"), "b\nend b\n") })
	b.end()
	require.Contains(t, b.said(), "its helper is started again for the next event")
	require.NotContains(t, b.file("out"), "end a", "a program does not outlive the helper that limits it")
}

// The daemon's end: what is under way has a second, and is not waited for longer.
func TestEnd(t *testing.T) {
	b := start(t, 0)
	b.runner.Set([]string{b.script("p", "echo $$ >$DIR/.pid; mv $DIR/.pid $DIR/pid; exec sleep 1000")})
	b.publish("a", "b", "c")
	b.until("the first run", func() bool { return b.file("pid") != "" })
	b.end()
	require.False(t, alive(b.pid("pid")))
	require.Contains(t, b.said(), "was killed, as the daemon ends")
	require.Contains(t, b.said(), "events=2")
}

// What is queued at the end is told where it does not take long.
func TestLastWords(t *testing.T) {
	b := start(t, 0)
	b.runner.Set([]string{b.script("p", "echo $1 >>$DIR/out")})
	b.publish("a", "b", "c")
	b.end()
	require.Equal(t, "a\nb\nc\n", b.file("out"))
}

// Killed, the daemon leaves its helper to finish the program that runs.
func TestDaemonKilled(t *testing.T) {
	b := start(t, 0)
	h, err := startHelper()
	require.NoError(t, err)
	p := b.script("p", "echo $$ >$DIR/.pid; mv $DIR/.pid $DIR/pid; while [ ! -e $DIR/go ]; do sleep 0.01; done; echo end >$DIR/out")
	answer := make(chan error, 1)
	go func() {
		_, err := h.ask(context.Background(), request{Program: p, Event: "a", Env: b.runner.Env, Limit: Limit})
		answer <- err
	}()
	b.until("the run", func() bool { return b.file("pid") != "" })
	require.NoError(t, h.to.Close())
	b.script("go", "")
	b.until("its end", func() bool { return b.file("out") == "end\n" })
	require.NoError(t, <-answer)
	<-h.ended
	require.NoError(t, h.from.Close())
}

func TestLost(t *testing.T) {
	b := start(t, 0)
	b.end()
	lost := uint64(0)
	b.runner.Lost = func() uint64 { return lost }
	b.runner.Set([]string{"/x"})
	for _, n := range []uint64{0, 1, 7, 0, 2} {
		lost = n
		b.runner.sayLost()
	}
	require.Equal(t, 2, strings.Count(b.said(), "events are lost to the notify programs"))
}
