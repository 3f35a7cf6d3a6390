// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Options says how the programs are loaded.
type Options struct {
	// PinPath is a folder on a bpffs; maps found there are used again when their layout is the
	// present one, so that a restart loses no round. Empty: nothing is pinned.
	PinPath string
	// WithoutTimer forces the confirmation without bpf_timer, as on kernels that refuse timers.
	WithoutTimer bool
}

// Objects are the loaded programs and maps. It must be kept as long as they are to work: the
// garbage collector closes what nothing references any more. Its methods are not safe for
// concurrent use, but for those that say so.
type Objects struct {
	// Timer: suspicions are confirmed by bpf_timer; otherwise by rounds and Confirm.
	Timer bool
	// Adopted: the maps of a former run are in use.
	Adopted bool

	maps     map[string]*ebpf.Map
	xdp      *ebpf.Program
	ingress  *ebpf.Program
	egress   *ebpf.Program
	tick     *ebpf.Program
	mappings [][]byte
	insts    []Instance
	tracks   []Track
	pins     string
	unpinned bool
}

// timerMap is where bpf_timers live; it exists in one of the two objects only.
const timerMap = "timers"

// Load loads the programs and makes or adopts their maps. It attaches nothing.
//
// Errors: *FeatureError where the kernel or the rights do not allow BPF at all; a kernel that only
// refuses timers gets the other confirmation.
func Load(opt Options) (*Objects, error) {
	if opt.PinPath != "" {
		if err := os.MkdirAll(opt.PinPath, 0o700); err != nil {
			return nil, fmt.Errorf("make pin folder: %w", err)
		}
	}
	if !opt.WithoutTimer {
		o, err := load(loadTimer, opt, true)
		if err == nil || !timerRefused(err) {
			return o, err
		}
	}
	return load(loadTick, opt, false)
}

// timerRefused recognises kernels that load everything but timers: PREEMPT_RT's verifier says so,
// and kernels before 5.15 do not know the helper.
func timerRefused(err error) bool {
	text := err.Error()
	var verifier *ebpf.VerifierError
	if errors.As(err, &verifier) {
		text = fmt.Sprintf("%+v", verifier)
	}
	return strings.Contains(text, "bpf_timer") || errors.Is(err, ebpf.ErrNotSupported)
}

func load(spec func() (*ebpf.CollectionSpec, error), opt Options, timer bool) (*Objects, error) {
	cs, err := spec()
	if err != nil {
		return nil, fmt.Errorf("read BPF objects: %w", err)
	}
	// Only there to carry type names to Go.
	delete(cs.Maps, ".bss")
	cs.Variables = nil
	alterLayout(cs)

	adopted, err := openPins(cs, opt.PinPath)
	if err != nil {
		return nil, err
	}
	coll, err := ebpf.NewCollectionWithOptions(cs, ebpf.CollectionOptions{MapReplacements: adopted})
	for _, m := range adopted {
		// NewCollection uses clones.
		m.Close()
	}
	if err != nil {
		return nil, explain("load BPF programs", err)
	}
	o := &Objects{Timer: timer, Adopted: len(adopted) > 0, maps: coll.Maps, pins: opt.PinPath}
	o.xdp = coll.Programs["ipmp_xdp"]
	o.ingress = coll.Programs["ipmp_ingress"]
	o.egress = coll.Programs["ipmp_egress"]
	o.tick = coll.Programs["ipmp_tick"]
	if err := o.share(); err != nil {
		o.Close()
		return nil, err
	}
	if err := o.pin(o.Adopted); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// layoutFile names the layout that the pins of a folder have.
func layoutFile(dir string) string { return filepath.Join(dir, fmt.Sprintf("layout-%d", Layout)) }

// openPins opens the maps of a former run, all or none: half of them would mix two layouts. The
// layout is known by a pin of that name, the map "tracks" under a second name.
func openPins(cs *ebpf.CollectionSpec, dir string) (map[string]*ebpf.Map, error) {
	if dir == "" {
		return nil, nil
	}
	if _, err := os.Stat(layoutFile(dir)); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	found := map[string]*ebpf.Map{}
	for name, spec := range cs.Maps {
		m, err := ebpf.LoadPinnedMap(filepath.Join(dir, name), nil)
		if errors.Is(err, os.ErrNotExist) && name == timerMap {
			continue // the former run was of the other kind
		}
		if err == nil {
			if cerr := spec.Compatible(m); cerr != nil {
				m.Close()
				err = cerr
			}
		}
		if err != nil {
			for _, m := range found {
				m.Close()
			}
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, ebpf.ErrMapIncompatible) {
				return nil, nil
			}
			return nil, fmt.Errorf("open pinned map %s: %w", name, err)
		}
		found[name] = m
	}
	return found, nil
}

// pin pins the maps of a fresh start; adopted ones are pinned already.
func (o *Objects) pin(adopted bool) error {
	if o.pins == "" {
		return nil
	}
	for name, m := range o.maps {
		path := filepath.Join(o.pins, name)
		if m.IsPinned() {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			if adopted {
				continue
			}
			// A map of another layout, which nothing will use again.
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove old pin: %w", err)
			}
		}
		if err := m.Pin(path); err != nil {
			return fmt.Errorf("pin map %s: %w", name, err)
		}
	}
	if adopted {
		return nil
	}
	if err := os.Remove(layoutFile(o.pins)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old pin: %w", err)
	}
	dup, err := o.maps["tracks"].Clone()
	if err != nil {
		return fmt.Errorf("clone map tracks: %w", err)
	}
	defer dup.Close()
	if err := dup.Pin(layoutFile(o.pins)); err != nil {
		return fmt.Errorf("pin layout: %w", err)
	}
	return nil
}

// share maps the shared maps into memory.
func (o *Objects) share() error {
	insts, err := mapping(o.maps["instances"], unsafe.Sizeof(Instance{})*uintptr(Instances))
	if err != nil {
		return err
	}
	o.mappings = append(o.mappings, insts)
	tracks, err := mapping(o.maps["tracks"], unsafe.Sizeof(Track{})*uintptr(Tracks))
	if err != nil {
		return err
	}
	o.mappings = append(o.mappings, tracks)
	o.insts = unsafe.Slice((*Instance)(unsafe.Pointer(&insts[0])), Instances)
	o.tracks = unsafe.Slice((*Track)(unsafe.Pointer(&tracks[0])), Tracks)
	return nil
}

func mapping(m *ebpf.Map, size uintptr) ([]byte, error) {
	b, err := unix.Mmap(m.FD(), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s into memory: %w", m.String(), err)
	}
	return b, nil
}

// Instances is shared memory: see ipmp.h for who writes which field. Safe for concurrent use with
// sync/atomic. Not to be used after Close.
func (o *Objects) Instances() []Instance { return o.insts }

// Tracks is shared memory, as Instances.
func (o *Objects) Tracks() []Track { return o.tracks }

// Events is the ring buffer of verdicts.
func (o *Objects) Events() *ebpf.Map { return o.maps["events"] }

// Confirm runs the confirmation of an instance's suspicion from user space, for kernels without
// timers. Safe for concurrent use.
func (o *Objects) Confirm(instance int) error {
	ctx := skbMark{Mark: uint32(instance)}
	_, err := o.tick.Run(&ebpf.RunOptions{Data: make([]byte, 64), Context: ctx})
	if err != nil {
		return fmt.Errorf("run ipmp_tick: %w", err)
	}
	return nil
}

// skbMark is the head of struct __sk_buff, whose mark PROG_TEST_RUN accepts.
type skbMark struct {
	Len, PktType, Mark uint32
	Rest               [45]uint32
}

// Close releases the maps and programs. What is attached by a pinned link, and what is pinned, goes
// on working.
func (o *Objects) Close() {
	for _, b := range o.mappings {
		_ = unix.Munmap(b) // nothing to be done about it
	}
	o.mappings, o.insts, o.tracks = nil, nil, nil
	for _, m := range o.maps {
		m.Close()
	}
	for _, p := range []*ebpf.Program{o.xdp, o.ingress, o.egress, o.tick} {
		if p != nil {
			p.Close()
		}
	}
}
