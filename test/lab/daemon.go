// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Daemon is an ipmpd in the lab's host.
type Daemon struct {
	Socket string // of its control API, in Lab.Dir
	State  string // its state file
	Log    string // file that its standard output and error go to

	lab    *Lab
	binary string
	config string
	root   string       // of Solaris files, in place of config; "": none
	enter  func() error // moves a thread to where the daemon lives
	prefix []string     // of its command line: what starts it
	room   bool         // it has a process 1 of its own

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
	err  error         // why
}

// Daemon writes a configuration and starts binary with it in the host's namespaces. It does not
// wait: see [Daemon.WaitReady]. [Lab.Close] ends it.
func (l *Lab) Daemon(binary, config string) (*Daemon, error) {
	d, err := l.newDaemon(binary)
	return d.begin(config, err)
}

// Daemon is [Lab.Daemon] in a room.
func (r *Room) Daemon(binary, config string) (*Daemon, error) {
	d, err := r.lab.newDaemon(binary)
	if err == nil {
		d.enter, d.room = r.enter, true
	}
	return d.begin(config, err)
}

// DaemonBy is [Lab.Daemon], started by a command that ends up as the daemon itself, in this process's
// own namespaces: "ip", "netns", "exec", l.Host.Name. Commands of [Daemon.Run] are started the same way.
func (l *Lab) DaemonBy(command []string, binary, config string) (*Daemon, error) {
	d, err := l.newDaemon(binary)
	if err == nil {
		d.enter, d.prefix = func() error { return nil }, command
	}
	return d.begin(config, err)
}

// begin with a configuration, unless there was an error before.
func (d *Daemon) begin(config string, err error) (*Daemon, error) {
	if err == nil {
		err = d.Configure(config)
	}
	if err != nil {
		return nil, err
	}
	return d, d.Start()
}

func (l *Lab) newDaemon(binary string) (*Daemon, error) {
	name := fmt.Sprintf("ipmpd%d", len(l.daemons))
	d := &Daemon{
		Socket: filepath.Join(l.Dir, name+".sock"),
		State:  filepath.Join(l.Dir, name+".state"),
		Log:    filepath.Join(l.Dir, name+".log"),
		lab:    l, enter: l.enterHost, binary: binary, config: filepath.Join(l.Dir, name+".yaml"),
	}
	l.daemons = append(l.daemons, d)
	return d, nil
}

// SolarisDaemon is [Lab.Daemon] with the Solaris files below root in place of a configuration.
func (l *Lab) SolarisDaemon(binary, root string) (*Daemon, error) {
	d, err := l.newDaemon(binary)
	if err != nil {
		return nil, err
	}
	d.root = root
	return d, d.Start()
}

// Configure writes the configuration; the daemon reads it at its next start or reload.
func (d *Daemon) Configure(config string) error {
	if err := os.WriteFile(d.config, []byte(config), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// Configuration that the daemon reads; "" where it reads Solaris files.
func (d *Daemon) Configuration() (string, error) {
	if d.root != "" {
		return "", nil
	}
	text, err := os.ReadFile(d.config)
	return string(text), err
}

// Upgrade: the next Start and the next Run are of another binary.
func (d *Daemon) Upgrade(binary string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.binary = binary
}

// Start runs the daemon, again after a Stop or a Kill: same socket, state and pins.
func (d *Daemon) Start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd != nil {
		return errors.New("start ipmpd: it runs")
	}
	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	from := []string{"--config", d.config}
	if d.root != "" {
		from = []string{"--solaris", d.root}
	}
	line := d.line(d.binary, append([]string{"run", "--socket", d.Socket, "--state", d.State}, from...)...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	// A killed lab takes its daemon with it. The signal comes when the starting *thread* ends, so
	// that thread waits for the daemon.
	// An interrupt from the terminal is the lab's business alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if d.room {
		// There it sees no parent, which Go takes for a dead one. It goes with the room.
		cmd.SysProcAttr.Pdeathsig = 0
	}
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // never given back
		defer close(done)
		err := d.enter()
		if err == nil && d.lab.opts.BPFFS == OwnBPFFS {
			err = hideBPFFS()
		}
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			d.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", d.binary, err)
	}
	d.cmd, d.done = cmd, done
	return nil
}

// Signal the daemon.
func (d *Daemon) Signal(sig os.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return errors.New("signal ipmpd: it does not run")
	}
	return d.cmd.Process.Signal(sig)
}

// Stop ends the daemon with SIGTERM and waits; an exit code other than 0 is an error.
func (d *Daemon) Stop() error { return d.end(syscall.SIGTERM) }

// Kill ends it as a crash does. Not running is no error.
func (d *Daemon) Kill() error { return d.end(syscall.SIGKILL) }

func (d *Daemon) end(sig syscall.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return nil
	}
	if err := d.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal ipmpd: %w", err)
	}
	select {
	case <-d.done:
	case <-time.After(10 * time.Second):
		return fmt.Errorf("ipmpd goes on 10 s after %s", sig)
	}
	d.cmd = nil
	if sig == syscall.SIGTERM && d.err != nil {
		return fmt.Errorf("ipmpd: %w", d.err)
	}
	return nil
}

// Ended tells whether the daemon has ended by itself.
func (d *Daemon) Ended() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return true
	}
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// RunAs executes the program by another name, `RunAs(ctx, "ipmpstat", "-g")`, and returns its
// standard output.
func (d *Daemon) RunAs(ctx context.Context, name string, args ...string) (string, error) {
	path := filepath.Join(d.lab.Dir, name)
	if err := os.Symlink(d.binary, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return d.execute(ctx, path, args)
}

// Run executes an ipmpd command against this daemon, `Run(ctx, "offline", "hme0")`, and returns
// its standard output.
func (d *Daemon) Run(ctx context.Context, args ...string) (string, error) {
	return d.execute(ctx, d.binary, args)
}

func (d *Daemon) execute(ctx context.Context, path string, args []string) (string, error) {
	var stdout, stderr strings.Builder
	line := d.line(path, append(args, "--socket", d.Socket)...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := onThread(d.enter, cmd.Run)
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", filepath.Base(path), strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), err
}

// line is a command line where the daemon lives.
func (d *Daemon) line(path string, args ...string) []string {
	return slices.Concat(d.prefix, []string{path}, args)
}

// Tail is the last lines of the daemon's log.
func (d *Daemon) Tail(lines int) string {
	text, err := os.ReadFile(d.Log)
	if err != nil {
		return err.Error() + "\n"
	}
	all := strings.SplitAfter(string(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "")
}

// PID of the running daemon; 0: it has not been started.
func (d *Daemon) PID() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil || d.cmd.Process == nil {
		return 0
	}
	return d.cmd.Process.Pid
}
