// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// linkPins are the names of pinned links, in front of the interface index.
var linkPins = []string{pinIngress, pinEgress, pinMulticast, pinXDP, pinXDPGeneric}

// PinPath is the folder that maps and links are pinned in; "": they are not.
func (o *Objects) PinPath() string { return o.pins }

// Unpin removes the pins of the maps, and the folder with whatever a former run has left in it: of
// links that are still there, the programs go. The maps work on, and are pinned again by Attach.
func (o *Objects) Unpin() error {
	if o.pins == "" {
		return nil
	}
	var errs []error
	for _, m := range o.maps {
		if m.IsPinned() {
			errs = append(errs, m.Unpin())
		}
	}
	o.unpinned = true
	return errors.Join(append(errs, RemovePins(o.pins))...)
}

// repin is for an attachment after Unpin.
func (o *Objects) repin() error {
	if !o.unpinned {
		return nil
	}
	if err := os.MkdirAll(o.pins, 0o700); err != nil {
		return fmt.Errorf("make pin folder: %w", err)
	}
	o.unpinned = false
	return o.pin(false)
}

// Pinned says whether a former run has left pins in a folder.
func Pinned(dir string) bool {
	list, err := os.ReadDir(dir)
	return err == nil && len(list) > 0
}

// RemovePins takes everything away that was pinned in a folder of ours, programs that hang on pinned
// links too, then the folder, and its parent if that is empty. A folder that does not exist is fine.
func RemovePins(dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list pins: %w", err)
	}
	var errs []error
	for _, f := range list {
		path := filepath.Join(dir, f.Name())
		if linkPin(f.Name()) {
			errs = append(errs, dropPin(path))
		} else if err := os.RemoveAll(path); err != nil {
			errs = append(errs, fmt.Errorf("remove pin: %w", err))
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, fmt.Errorf("remove pin folder: %w", err))
	}
	_ = os.Remove(filepath.Dir(dir)) // of other namespaces too: it stays while they have something in it
	return errors.Join(errs...)
}

// linkPin says whether a pin of that name is a link's.
func linkPin(file string) bool {
	at := strings.LastIndexByte(file, '-')
	if at < 0 {
		return false
	}
	for _, name := range linkPins {
		if file[:at] == name {
			_, err := strconv.ParseUint(file[at+1:], 10, 32)
			return err == nil
		}
	}
	return false
}

// dropPin removes a pinned link, and with it its program. One that does not exist is fine.
func dropPin(path string) error {
	l, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil { // it is no link, and nothing hangs on it
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove damaged pin: %w", err)
		}
		return nil
	}
	if err := (bpfLink{link: l, pin: path}).detach(); err != nil {
		return fmt.Errorf("remove pinned link %s: %w", path, err)
	}
	return nil
}

// DetachPinned takes off an interface what a former run has pinned in a folder.
func DetachPinned(dir string, ifindex int) error {
	var errs []error
	for _, name := range linkPins {
		errs = append(errs, dropPin(filepath.Join(dir, fmt.Sprintf("%s-%d", name, ifindex))))
	}
	return errors.Join(errs...)
}

// HasClsact says whether an interface has a clsact qdisc; one that does not exist has none.
func HasClsact(ifindex int) (bool, error) {
	l := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}
	list, err := netlink.QdiscList(l)
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return false, fmt.Errorf("list qdiscs of interface %d: %w", ifindex, err)
	}
	for _, q := range list {
		if q.Type() == "clsact" {
			return true, nil
		}
	}
	return false, nil
}

// DetachFilters takes our clsact filters off an interface; with qdisc, the qdisc too, if there was one
// of ours in it and others have none. It says whether there was.
func DetachFilters(ifindex int, qdisc bool) (found bool, err error) {
	has, err := HasClsact(ifindex)
	if !has || err != nil {
		return false, err
	}
	l := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}
	others := false
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		list, err := netlink.FilterList(l, parent)
		if err != nil {
			return found, fmt.Errorf("list filters of interface %d: %w", ifindex, err)
		}
		for _, f := range list {
			if !ours(f) {
				others = true
				continue
			}
			found = true
			if err := (clsactFilter{ifindex: ifindex, parent: parent, handle: f.Attrs().Handle}).detach(); err != nil {
				return found, err
			}
		}
	}
	if !qdisc || others || !found {
		return found, nil
	}
	err = netlink.QdiscDel(clsactQdisc(ifindex))
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EINVAL) {
		return found, fmt.Errorf("delete clsact qdisc of interface %d: %w", ifindex, err)
	}
	return found, nil
}

func ourHandle(handle uint32) bool { return handle == clsactHandle || handle == clsactCast }

// ours knows our filters by priority, handle and name together.
func ours(f netlink.Filter) bool {
	b, ok := f.(*netlink.BpfFilter)
	return ok && b.Priority == clsactPriority && ourHandle(b.Handle) && strings.HasPrefix(b.Name, clsactName)
}
