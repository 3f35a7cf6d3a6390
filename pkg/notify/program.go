// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Limit is how long a program may take for one event.
	Limit = 10 * time.Second
	// keptOutput of a program's standard output and error, both together, is passed on to the log.
	keptOutput = 4 << 10
	// mostOutput is what it may write before it is taken for one that floods.
	mostOutput = 64 << 10
	// letGo is how long the output is read on when the process group is dead: a process that has left
	// the group may hold it open for ever.
	letGo = 100 * time.Millisecond
)

// request is one run of one program, as it goes to the helper.
type request struct {
	Program string        `json:"program"`
	Event   string        `json:"event"` // the program's only argument
	Input   []byte        `json:"input"` // its standard input
	Env     []string      `json:"env"`   // all of its environment
	Limit   time.Duration `json:"limit"`
}

// outcome of a run. The zero value is a program that ended well and said nothing.
type outcome struct {
	Problem string `json:"problem"` // CAUSE; WHAT TO DO
	Output  string `json:"output"`  // the beginning of what it wrote
}

// run a program. It returns when the program has ended, and has ended its whole process group then:
// what a program leaves behind in the background would escape the limit.
func run(ctx context.Context, r request) outcome {
	flooded := make(chan struct{})
	out := &sink{full: flooded}
	cmd := exec.Command(r.Program, r.Event)
	cmd.Dir, cmd.Env = "/", r.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(r.Input), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = letGo
	if err := cmd.Start(); err != nil {
		return outcome{Problem: cannotRun(err)}
	}
	ended := make(chan struct{})
	go func() {
		// It is not reaped yet, so that its number names nobody else when its group is killed.
		for errors.Is(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		}
		close(ended)
	}()
	limit := time.NewTimer(r.Limit)
	defer limit.Stop()
	problem := ""
	select {
	case <-ended:
	case <-limit.C:
		problem = fmt.Sprintf("did not end within %v and was killed; let it do its work in less, or hand it on", r.Limit)
	case <-flooded:
	case <-ctx.Done():
		problem = "was killed, as the daemon ends; give it the event by hand where that counts"
	}
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // ESRCH: nobody is left
	<-ended
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case problem != "":
	case out.written > mostOutput:
		problem = fmt.Sprintf("wrote more than %d KiB and was ended; let it write less", mostOutput>>10)
	case errors.As(err, &exit):
		problem = "failed, " + exit.Error() + "; run it by hand with one event on its standard input" // exit status 3
	}
	return outcome{Problem: problem, Output: out.text()}
}

// cannotRun says why a program was not started.
func cannotRun(err error) string {
	var reason syscall.Errno
	if !errors.As(err, &reason) {
		return "cannot be run: " + err.Error() + "; correct `notify`"
	}
	advice := "see to it that root may run it"
	switch reason {
	case syscall.ENOENT:
		advice = "create it, or the interpreter that its first line names"
	case syscall.EACCES:
		advice = "make it executable, chmod +x"
	case syscall.ENOEXEC:
		advice = "begin a script with #! and its interpreter"
	}
	return "cannot be run: " + reason.Error() + "; " + advice
}

// sink keeps the beginning of what is written to it, and tells once when it is too much. It is read
// when nobody writes any more.
type sink struct {
	kept    []byte
	written int
	full    chan struct{}
}

func (s *sink) Write(p []byte) (int, error) {
	s.kept = append(s.kept, p[:min(len(p), keptOutput-len(s.kept))]...)
	was := s.written
	s.written += len(p)
	if s.written > mostOutput {
		if was <= mostOutput {
			close(s.full)
		}
		// os/exec reads no more then, which ends most of those who flood before their group is killed.
		return 0, errors.New("too much")
	}
	return len(p), nil
}

// text that was kept, fit for a line of a log.
func (s *sink) text() string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(s.kept), "\ufffd"))
	if s.written > keptOutput {
		text += " ..."
	}
	return text
}
