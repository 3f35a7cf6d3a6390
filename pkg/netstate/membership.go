// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Membership is a multicast group on an interface, as the kernel tells of it: of all sockets together,
// and without its own reasons apart.
type Membership struct {
	Link  int
	Group netip.Addr
	// Users is how many sockets have joined, and the kernel for itself.
	Users int
	// Sources that sockets name; what is in no list is either heard by a socket that takes any, or by none.
	Sources []MembershipSource
}

// MembershipSource is a source that so many sockets ask for, and so many want to hear nothing of.
type MembershipSource struct {
	Addr             netip.Addr
	Include, Exclude int
}

var errMembership = errors.New("not a line of a multicast table")

// Memberships lists those of the network namespace of the calling thread, and the interfaces that hear an
// IGMP querier of an old version (1 or 2) and must speak it; the others speak 3. It asks /proc/net: rtnetlink
// does not tell who has joined, and sources not at all.
func Memberships() (list []Membership, queriers map[int]int, err error) {
	return membershipsIn("/proc/thread-self/net")
}

// readReady is os.ReadFile of what never blocks: os.Open has such a file watched, and each time one is, the
// thread wakes that waits for all the others.
func readReady(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path) // blocking, so that it is left alone
	defer f.Close()
	return io.ReadAll(f)
}

func membershipsIn(dir string) ([]Membership, map[int]int, error) {
	var text [4]string
	for i, name := range []string{"igmp", "mcfilter", "igmp6", "mcfilter6"} {
		b, err := readReady(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
			return nil, nil, fmt.Errorf("read multicast groups: %w", err)
		}
		text[i] = string(b)
	}
	list, queriers, err := parseIGMP(text[0])
	if err != nil {
		return nil, nil, err
	}
	list6, err := parseIGMP6(text[2])
	if err != nil {
		return nil, nil, err
	}
	list = append(list, list6...)
	by := make(map[membershipKey]*Membership, len(list))
	for i := range list {
		by[membershipKey{list[i].Link, list[i].Group}] = &list[i]
	}
	// The two files of a family are not of one moment: a source without its group has just come or gone.
	for _, filter := range []string{text[1], text[3]} {
		err := parseFilter(filter, func(key membershipKey, s MembershipSource) {
			if m := by[key]; m != nil {
				m.Sources = append(m.Sources, s)
			}
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return list, queriers, nil
}

type membershipKey struct {
	link  int
	group netip.Addr
}

// parseIGMP reads /proc/net/igmp: a line for an interface, with the version that it speaks, then indented
// ones for its groups, each as a word in host order.
func parseIGMP(text string) (list []Membership, queriers map[int]int, err error) {
	queriers = map[int]int{}
	link := 0
	for line := range lines(text) {
		f := strings.Fields(line)
		bad := func() error { return fmt.Errorf("%w: %q", errMembership, line) }
		if len(f) < 2 {
			return nil, nil, bad()
		}
		if line[0] != '\t' {
			if link, err = strconv.Atoi(f[0]); err != nil {
				return nil, nil, bad()
			}
			if version, ok := strings.CutPrefix(f[len(f)-1], "V"); ok {
				if v, err := strconv.Atoi(version); err == nil && v < 3 {
					queriers[link] = v
				}
			}
			continue
		}
		word, err := strconv.ParseUint(f[0], 16, 32)
		users, err2 := strconv.Atoi(f[1])
		if err != nil || err2 != nil {
			return nil, nil, bad()
		}
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], uint32(word))
		list = append(list, Membership{Link: link, Group: netip.AddrFrom4(b), Users: users})
	}
	return list, queriers, nil
}

// parseIGMP6 reads /proc/net/igmp6, which has no head: index, name, group, users, flags, timer.
func parseIGMP6(text string) (list []Membership, err error) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 {
			return nil, fmt.Errorf("%w: %q", errMembership, line)
		}
		link, err := strconv.Atoi(f[0])
		group, err2 := address6(f[2])
		users, err3 := strconv.Atoi(f[3])
		if err := errors.Join(err, err2, err3); err != nil {
			return nil, fmt.Errorf("%w: %q", errMembership, line)
		}
		list = append(list, Membership{Link: link, Group: group, Users: users})
	}
	return list, nil
}

// parseFilter reads /proc/net/mcfilter or mcfilter6: index, name, group, source, includes, excludes.
func parseFilter(text string, found func(membershipKey, MembershipSource)) error {
	for line := range lines(text) {
		f := strings.Fields(line)
		bad := func() error { return fmt.Errorf("%w: %q", errMembership, line) }
		if len(f) < 6 {
			return bad()
		}
		link, err := strconv.Atoi(f[0])
		group, err2 := filterAddress(f[2])
		source, err3 := filterAddress(f[3])
		include, err4 := strconv.Atoi(f[4])
		exclude, err5 := strconv.Atoi(f[5])
		if errors.Join(err, err2, err3, err4, err5) != nil {
			return bad()
		}
		found(membershipKey{link, group}, MembershipSource{source, include, exclude})
	}
	return nil
}

// lines without the first, which is the table's head.
func lines(text string) func(func(string) bool) {
	_, rest, _ := strings.Cut(text, "\n")
	return strings.Lines(rest)
}

// filterAddress is 0x and a number, or the 32 digits of an IPv6 address.
func filterAddress(text string) (netip.Addr, error) {
	number, is4 := strings.CutPrefix(text, "0x")
	if !is4 {
		return address6(text)
	}
	word, err := strconv.ParseUint(number, 16, 32)
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(word))
	return netip.AddrFrom4(b), err
}

func address6(digits string) (netip.Addr, error) {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 16 {
		return netip.Addr{}, errMembership
	}
	return netip.AddrFrom16([16]byte(b)), nil
}
