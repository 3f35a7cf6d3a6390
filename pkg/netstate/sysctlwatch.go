// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lookEvery is how often all sysctls are read: for writers that inotify does not hear, those who
// have another procfs (another PID namespace), and interfaces whose directory was made anew.
const lookEvery = 10 * time.Second

// SysctlWatcher tells when somebody writes a sysctl. rtnetlink has RTM_NEWNETCONF for a few of them;
// inotify hears every write to /proc/sys by the same procfs, as long as the directory is held open:
// else the kernel may make a new inode of it, which nobody watches. It is safe for concurrent use.
type SysctlWatcher struct {
	log     *slog.Logger
	every   time.Duration
	file    *os.File // inotify
	changes chan struct{}

	mu   sync.Mutex
	keys []string
	dirs map[string]*sysctlDir
	by   map[int32]*sysctlDir // watch descriptors
	said bool                 // that a directory cannot be watched
}

type sysctlDir struct {
	fd    int // held open
	inode uint64
	watch int32
	names map[string]bool
}

// OpenSysctls watches nothing yet.
func OpenSysctls(log *slog.Logger) (*SysctlWatcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	return &SysctlWatcher{log: log, every: lookEvery, file: os.NewFile(uintptr(fd), "inotify"),
		changes: make(chan struct{}, 1), dirs: map[string]*sysctlDir{}, by: map[int32]*sysctlDir{}}, nil
}

// Close gives the descriptors back, after Run has returned.
func (w *SysctlWatcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.dirs {
		w.drop(name)
	}
	return w.file.Close()
}

// Changes has something after a watched sysctl was written, by whomever.
func (w *SysctlWatcher) Changes() <-chan struct{} { return w.changes }

func (w *SysctlWatcher) notify() {
	select {
	case w.changes <- struct{}{}:
	default:
	}
}

// Watch these keys, as Sysctls has them, and no others, in the network namespace of the calling thread.
func (w *SysctlWatcher) Watch(keys []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys = slices.Clone(keys)
	names := map[string]map[string]bool{}
	for _, key := range keys {
		dir, name := path.Split(key)
		if names[dir] == nil {
			names[dir] = map[string]bool{}
		}
		names[dir][name] = true
	}
	for dir := range w.dirs {
		if names[dir] == nil {
			w.drop(dir)
		}
	}
	for dir, set := range names {
		w.hold(dir, set)
	}
}

// hold a directory open and watch it, unless it is the one that is watched already.
func (w *SysctlWatcher) hold(dir string, names map[string]bool) {
	where := path.Join("/proc/sys", dir)
	old := w.dirs[dir]
	var st unix.Stat_t
	if err := unix.Stat(where, &st); err != nil {
		if old != nil {
			w.drop(dir)
		}
		return // the interface is gone, or the kernel has no IPv6
	}
	if old != nil && old.inode == st.Ino {
		old.names = names
		return
	}
	if old != nil {
		w.drop(dir)
	}
	fd, err := unix.Open(where, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		var watch int
		if err = unix.Fstat(fd, &st); err == nil {
			watch, err = w.add(fmt.Sprintf("/proc/self/fd/%d", fd))
		}
		if err == nil {
			d := &sysctlDir{fd: fd, inode: st.Ino, watch: int32(watch), names: names}
			w.dirs[dir], w.by[d.watch] = d, d
			return
		}
		_ = unix.Close(fd)
	}
	if !w.said {
		w.said = true
		w.log.Info("sysctls are only looked at now and then", "directory", where, "error", err)
	}
}

func (w *SysctlWatcher) add(where string) (watch int, err error) {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	if cerr := raw.Control(func(fd uintptr) { watch, err = unix.InotifyAddWatch(int(fd), where, unix.IN_MODIFY) }); cerr != nil {
		return 0, cerr
	}
	return watch, err
}

func (w *SysctlWatcher) drop(dir string) {
	d := w.dirs[dir]
	delete(w.dirs, dir)
	if w.by[d.watch] == d {
		delete(w.by, d.watch)
		if raw, err := w.file.SyscallConn(); err == nil {
			// That it is gone with its directory is no news.
			_ = raw.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(d.watch)) })
		}
	}
	_ = unix.Close(d.fd)
}

// Run hears what is written until ctx ends.
func (w *SysctlWatcher) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(past) })
	defer stop()
	buf := make([]byte, 16<<10)
	var values map[string]string
	var looked time.Time
	for ctx.Err() == nil {
		if time.Since(looked) >= w.every {
			looked = time.Now()
			values = w.look(values)
			_ = w.file.SetReadDeadline(looked.Add(w.every))
			if ctx.Err() != nil {
				return nil // its deadline is the one that counts
			}
		}
		n, err := w.file.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return fmt.Errorf("watch sysctls: %w", err)
		case w.heard(buf[:n]):
			w.notify()
		}
	}
	return nil
}

// look at all of them, and whether their directories are still the ones that are watched.
func (w *SysctlWatcher) look(was map[string]string) map[string]string {
	w.mu.Lock()
	keys := w.keys
	w.mu.Unlock()
	w.Watch(keys)
	is := Sysctls(keys)
	if was != nil && !maps.Equal(was, is) {
		w.notify()
	}
	return is
}

// heard says whether a message is about a watched key, or about lost ones.
func (w *SysctlWatcher) heard(b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := false
	for len(b) >= unix.SizeofInotifyEvent {
		watch := int32(binary.NativeEndian.Uint32(b))
		mask := binary.NativeEndian.Uint32(b[4:])
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		if size > len(b) {
			return true
		}
		name := strings.TrimRight(string(b[unix.SizeofInotifyEvent:size]), "\x00")
		b = b[size:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			found = true
			continue
		}
		d := w.by[watch]
		if mask&unix.IN_IGNORED != 0 {
			delete(w.by, watch)
			continue
		}
		found = found || d != nil && d.names[name]
	}
	return found
}
