// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// UAPI constants that golang.org/x/sys/unix does not carry.
const (
	ifaProto       = 11 // IFA_PROTO, u8
	ndaProtocol    = 12 // NDA_PROTOCOL, u8
	rtaNHID        = 30 // RTA_NH_ID, u32
	ntfRouter      = 0x80
	vrfTable       = 1      // IFLA_VRF_TABLE, u32
	infoKind       = 1      // IFLA_INFO_KIND, string
	infoData       = 2      // IFLA_INFO_DATA, nested
	infoSlaveKind  = 4      // IFLA_INFO_SLAVE_KIND, string
	skipStatistics = 1 << 3 // RTEXT_FILTER_SKIP_STATS
	attrTypeMask   = 0x3fff // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
)

var errTruncated = errors.New("netlink message cut short")

// messages calls fn for every netlink message in b.
func messages(b []byte, fn func(h header, body []byte) error) error {
	for len(b) >= unix.SizeofNlMsghdr {
		h := header{
			typ: binary.NativeEndian.Uint16(b[4:]), flags: binary.NativeEndian.Uint16(b[6:]),
			seq: binary.NativeEndian.Uint32(b[8:]),
		}
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return errTruncated
		}
		if err := fn(h, b[unix.SizeofNlMsghdr:size]); err != nil {
			return err
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return nil
}

type header struct {
	typ, flags uint16
	seq        uint32
}

// kernelError is the error that a NLMSG_ERROR body carries; nil: it is an acknowledgement.
func kernelError(body []byte) error {
	if len(body) < 4 {
		return errTruncated
	}
	if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// attrs reads attributes, one a call of next.
type attrs struct {
	rest []byte
	typ  int
	data []byte
	err  error
}

func (a *attrs) next() bool {
	if len(a.rest) < 4 {
		return false
	}
	size := int(binary.NativeEndian.Uint16(a.rest))
	if size < 4 || size > len(a.rest) {
		a.err = errTruncated
		return false
	}
	a.typ = int(binary.NativeEndian.Uint16(a.rest[2:])) & attrTypeMask
	a.data = a.rest[4:size]
	a.rest = a.rest[min(len(a.rest), (size+3)&^3):]
	return true
}

// A value of another size than asked for makes the whole message suspect.
func (a *attrs) sized(n int) bool {
	if len(a.data) < n {
		a.err = fmt.Errorf("attribute %d has %d bytes: %w", a.typ, len(a.data), errTruncated)
		return false
	}
	return true
}

func (a *attrs) u8() uint8 {
	if !a.sized(1) {
		return 0
	}
	return a.data[0]
}

func (a *attrs) u16() uint16 {
	if !a.sized(2) {
		return 0
	}
	return binary.NativeEndian.Uint16(a.data)
}

func (a *attrs) u32() uint32 {
	if !a.sized(4) {
		return 0
	}
	return binary.NativeEndian.Uint32(a.data)
}

func (a *attrs) ip() netip.Addr {
	ip, ok := netip.AddrFromSlice(a.data)
	if !ok {
		a.err = fmt.Errorf("attribute %d is no address: %w", a.typ, errTruncated)
	}
	return ip
}

func (a *attrs) str() string {
	for i, c := range a.data {
		if c == 0 {
			return string(a.data[:i])
		}
	}
	return string(a.data)
}

func (a *attrs) mac() (m [6]byte) {
	if len(a.data) == 6 {
		copy(m[:], a.data)
	}
	return m
}
