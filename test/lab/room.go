// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Room is the inside of a container: the host's network namespace with processes and mounts of its
// own. Process 1 of it waits for nothing; when it ends, the kernel ends all others.
type Room struct {
	lab   *Lab
	init  *exec.Cmd
	done  chan struct{}
	files []roomFile // of the namespaces, in the order to enter them in
}

type roomFile struct {
	file *os.File
	kind int
}

// Room makes one. Script is of sh and arranges the mounts, which are private by then and have a
// /proc of the room's own. [Lab.Close] ends it.
func (l *Lab) Room(script string) (*Room, error) {
	r := &Room{lab: l, done: make(chan struct{})}
	r.init = exec.Command("sh", "-ec", "mount --make-rprivate /\nmount -t proc proc /proc\n"+script+"\necho ready\nexec sleep infinity")
	r.init.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	var stderr strings.Builder
	r.init.Stderr = &stderr
	out, err := r.init.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never given back: the death signal is of this thread's end
		defer close(r.done)
		err := unix.Setns(int(l.Host.fd), unix.CLONE_NEWNET)
		if err == nil {
			err = r.init.Start()
		}
		started <- err
		if err == nil {
			_, _ = r.init.Process.Wait() // it is killed
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start a room: %w", err)
	}
	l.rooms = append(l.rooms, r)
	if !bufio.NewScanner(out).Scan() {
		<-r.done
		return nil, fmt.Errorf("make a room: %s", strings.TrimSpace(stderr.String()))
	}
	for _, n := range []struct {
		name string
		kind int
	}{{"net", unix.CLONE_NEWNET}, {"pid", unix.CLONE_NEWPID}, {"mnt", unix.CLONE_NEWNS}} {
		f, err := os.Open(filepath.Join("/proc", fmt.Sprint(r.init.Process.Pid), "ns", n.name))
		if err != nil {
			return nil, fmt.Errorf("look into a room: %w", err)
		}
		r.files = append(r.files, roomFile{f, n.kind})
	}
	return r, nil
}

// enter moves the calling thread for good; processes that it starts are in the room.
func (r *Room) enter() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	for _, f := range r.files {
		if err := unix.Setns(int(f.file.Fd()), f.kind); err != nil {
			return fmt.Errorf("enter a room: %w", err)
		}
	}
	return nil
}

// Do runs fn on a thread that ends with it. Processes that fn starts are in the room, fn itself is
// in its mounts and network only.
func (r *Room) Do(fn func() error) error { return onThread(r.enter, fn) }

// Run a command in the room.
func (r *Room) Run(name string, args ...string) (string, error) {
	var out []byte
	err := r.Do(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), err
}

// Start a program that goes on in the room until stop is called or the room ends, with its output
// in a file of the lab.
func (r *Room) Start(log, name string, args ...string) (stop func() error, err error) {
	f, err := os.OpenFile(filepath.Join(r.lab.Dir, log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = f, f
	if err := r.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	// It is this process's child: process 1 of the room cannot end before it is waited for.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // ended by a signal
	}()
	return func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return fmt.Errorf("end %s: %w", name, err)
		}
		<-ended
		return nil
	}, nil
}

func (r *Room) close() error {
	err := r.init.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-r.done
	for _, f := range r.files {
		err = errors.Join(err, f.file.Close())
	}
	return err
}
