// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// UAPI constants that golang.org/x/sys/unix does not carry.
const (
	nhaResGroup      = 12 // NHA_RES_GROUP
	nhaResBuckets    = 1  // NHA_RES_GROUP_BUCKETS, u16
	nhaResIdleTimer  = 2  // NHA_RES_GROUP_IDLE_TIMER, u32 in USER_HZ
	nhaResUnbalanced = 3  // NHA_RES_GROUP_UNBALANCED_TIMER, u32 in USER_HZ
	nhGroupRes       = 1  // NEXTHOP_GRP_TYPE_RES
	ifaProto         = 11 // IFA_PROTO, u8, Linux 5.18
	ndaProtocol      = 12 // NDA_PROTOCOL, u8
	rtaNHID          = 30 // RTA_NH_ID, u32
	nlaNested        = 0x8000
)

// message appends rtnetlink messages to a buffer. vishvananda/netlink knows no nexthop objects
// and sends one message a call, so the few that ipmpd writes are put together here.
type message struct {
	buf   []byte
	start int
}

// begin starts a message; its length is filled in by end.
func (m *message) begin(typ, flags uint16) {
	m.start = len(m.buf)
	m.u32(0)
	m.u16(typ)
	m.u16(unix.NLM_F_REQUEST | flags)
	m.u32(0) // sequence number, filled in when sent
	m.u32(0)
}

func (m *message) end() {
	binary.NativeEndian.PutUint32(m.buf[m.start:], uint32(len(m.buf)-m.start))
}

func (m *message) u8(v ...uint8)  { m.buf = append(m.buf, v...) }
func (m *message) u16(v uint16)   { m.buf = binary.NativeEndian.AppendUint16(m.buf, v) }
func (m *message) u32(v uint32)   { m.buf = binary.NativeEndian.AppendUint32(m.buf, v) }
func (m *message) align()         { m.buf = append(m.buf, make([]byte, -len(m.buf)&3)...) }
func (m *message) nest(t int) int { at := len(m.buf); m.u16(0); m.u16(uint16(t)); return at }
func (m *message) unnest(at int)  { m.length(at) }
func (m *message) length(at int)  { binary.NativeEndian.PutUint16(m.buf[at:], uint16(len(m.buf)-at)) }

func (m *message) attr(t int, v []byte) {
	at := m.nest(t)
	m.buf = append(m.buf, v...)
	m.length(at)
	m.align()
}

func (m *message) attr8(t int, v uint8) { m.attr(t, []byte{v}) }

func (m *message) attr16(t int, v uint16) {
	m.attr(t, binary.NativeEndian.AppendUint16(nil, v))
}

func (m *message) attr32(t int, v uint32) {
	m.attr(t, binary.NativeEndian.AppendUint32(nil, v))
}

func (m *message) attrIP(t int, a netip.Addr) { m.attr(t, a.Unmap().AsSlice()) }

// count is the number of messages in buf.
func count(buf []byte) (n int) {
	for len(buf) >= unix.SizeofNlMsghdr {
		buf = buf[binary.NativeEndian.Uint32(buf):]
		n++
	}
	return n
}
