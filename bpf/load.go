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
	// Discard, when set, is told of what a former run has pinned and this one cannot use, and why: maps
	// of another layout, and pins that are damaged. Fresh ones take their place.
	Discard func(pin string, why error)
}

// Objects are the loaded programs and maps. It must be kept as long as they are to work: the
// garbage collector closes what nothing references any more. Its methods are not safe for
// concurrent use, but for those that say so.
type Objects struct {
	// Timer: suspicions are confirmed by bpf_timer; otherwise by rounds and Confirm.
	Timer bool
	// Adopted: the maps of a former run are in use.
	Adopted bool

	maps      map[string]*ebpf.Map
	xdp       *ebpf.Program
	ingress   *ebpf.Program
	egress    *ebpf.Program
	tick      *ebpf.Program
	multicast *ebpf.Program
	mappings  [][]byte
	insts     []Instance
	tracks    []Track
	feeds     []Feed
	casts     map[Cast]uint32 // where each is in feeds
	pins      string
	discard   func(pin string, why error)
	unpinned  bool
	later     *ebpf.CollectionSpec // of programs that are not loaded yet
}

// timerMap is where bpf_timers live; it exists in one of the two objects only.
const timerMap = "timers"

// Load makes or adopts the maps and loads the programs, those of adopted maps when they are attached. It
// attaches nothing.
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

	discard := opt.Discard
	if discard == nil {
		discard = func(string, error) {}
	}
	adopted, why := openPins(cs, opt.PinPath)
	if why != nil {
		discard(opt.PinPath, why)
	}
	o := &Objects{Timer: timer, Adopted: len(adopted) > 0, pins: opt.PinPath, discard: discard}
	err = o.collect(cs, adopted)
	for _, m := range adopted {
		// collect uses clones.
		m.Close()
	}
	if err != nil {
		return nil, explain("load BPF programs", err)
	}
	if err := errors.Join(o.share(), o.recallCasts()); err != nil {
		o.Close()
		return nil, err
	}
	if err := o.pin(o.Adopted); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// collect makes the maps that were not adopted, and loads the programs. Where a former run of the same
// kind has left all maps, its programs are at work, and ours are loaded when they are attached: the
// kernel takes 50 ms to verify them, and a failover that was left half done does not wait for that.
func (o *Objects) collect(cs *ebpf.CollectionSpec, adopted map[string]*ebpf.Map) error {
	spec := cs
	if _, same := adopted[timerMap]; same {
		spec = cs.Copy()
		spec.Programs = nil
		o.later = cs
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: adopted})
	if err != nil {
		return err
	}
	o.maps = coll.Maps
	o.programs(coll)
	return nil
}

func (o *Objects) programs(coll *ebpf.Collection) {
	o.xdp = coll.Programs["ipmp_xdp"]
	o.ingress = coll.Programs["ipmp_ingress"]
	o.egress = coll.Programs["ipmp_egress"]
	o.tick = coll.Programs["ipmp_tick"]
	o.multicast = coll.Programs["ipmp_multicast"]
}

// loadPrograms unless they are.
func (o *Objects) loadPrograms() error {
	if o.later == nil {
		return nil
	}
	coll, err := ebpf.NewCollectionWithOptions(o.later, ebpf.CollectionOptions{MapReplacements: o.maps})
	if err != nil {
		return explain("load BPF programs", err)
	}
	o.later = nil
	o.programs(coll)
	for _, m := range coll.Maps {
		m.Close() // clones: the programs hold them
	}
	return nil
}

// layoutFile names the layout that the pins of a folder have.
func layoutFile(dir string) string { return filepath.Join(dir, fmt.Sprintf("layout-%d", Layout)) }

// openPins opens the maps of a former run, all or none: half of them would mix two layouts. The
// layout is known by a pin of that name, the map "tracks" under a second name. Where there are pins of
// which nothing can be used, it says why.
func openPins(cs *ebpf.CollectionSpec, dir string) (_ map[string]*ebpf.Map, why error) {
	if dir == "" || !Pinned(dir) {
		return nil, nil
	}
	if _, err := os.Stat(layoutFile(dir)); err != nil {
		return nil, fmt.Errorf("they are not of layout %d", Layout)
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
			return nil, fmt.Errorf("map %s: %w", name, err)
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
	if !adopted {
		// First: from here on the folder has no layout, and a run that is killed leaves nothing to adopt.
		if err := o.dropLayouts(); err != nil {
			return err
		}
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
			if err := os.RemoveAll(path); err != nil {
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

// dropLayouts takes away what names the layout of the pins, of whichever version: a later one that
// comes back would take the maps of this one for its own.
func (o *Objects) dropLayouts() error {
	old, err := filepath.Glob(filepath.Join(o.pins, "layout-*"))
	if err != nil {
		return fmt.Errorf("look for old pins: %w", err)
	}
	for _, path := range old {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove old pin: %w", err)
		}
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
	feeds, err := mapping(o.maps["feeds"], unsafe.Sizeof(Feed{})*uintptr(Feeds))
	if err != nil {
		return err
	}
	o.mappings = append(o.mappings, feeds)
	o.feeds = unsafe.Slice((*Feed)(unsafe.Pointer(&feeds[0])), Feeds)
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
	o.mappings, o.insts, o.tracks, o.feeds = nil, nil, nil, nil
	for _, m := range o.maps {
		m.Close()
	}
	for _, p := range []*ebpf.Program{o.xdp, o.ingress, o.egress, o.tick, o.multicast} {
		if p != nil {
			p.Close()
		}
	}
}
