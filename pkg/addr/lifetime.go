// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// carried is what a data address takes along to a member: what the administrator or a lease said of it
// goes on being so. It is not read off another copy: in the middle of two moves there may be none to see.
func (p *planner) carried(prefix netip.Prefix, to *Member) (AddressForm, int64) {
	if p.found == nil {
		p.found = make(map[netip.Prefix]*FoundAddress, len(p.d.Found))
		for i := range p.d.Found {
			p.found[p.d.Found[i].Prefix] = &p.d.Found[i]
		}
	}
	f := p.found[prefix]
	if f == nil {
		return AddressForm{}, 0
	}
	was := HostAddress{Form: f.Form, Flags: f.Flags, At: f.At}
	return was.carry(f.LinkName, to.Name)
}

// scope that an address can have on a link: the kernel refuses another one than that of the first of
// its subnet there (tried).
func (m *model) scope(link int, p netip.Prefix, own uint8) uint8 {
	if i := m.primary(linkPrefix{link, p.Masked()}); p.Addr().Is4() && i >= 0 {
		return m.addrs[i].Form.Scope
	}
	return own
}

// carry is the form of an address for another interface: scope, broadcast, lifetimes, and a label that
// has the other name in front. A data address is not deprecated: it is preferred for as long as it is valid.
func (a *HostAddress) carry(from, to string) (AddressForm, int64) {
	f := AddressForm{Scope: a.Form.Scope, Broadcast: a.Form.Broadcast, Preferred: a.Form.Preferred, Valid: a.Form.Valid}
	if a.Flags&unix.IFA_F_DEPRECATED != 0 {
		f.Preferred = f.Valid
	}
	if rest, ok := strings.CutPrefix(a.Form.Label, from+":"); ok && len(to)+1+len(rest) < unix.IFNAMSIZ {
		f.Label = to + ":" + rest
	}
	if f.Preferred == 0 && f.Valid == 0 {
		return f, 0
	}
	return f, a.At
}

// lifetimes of an address that is added, in seconds as the kernel counts them. One whose time is over
// has none any more: the file names it.
func lifetimes(op Op, now int64) (preferred, valid uint32) {
	if op.Test {
		return 0, seconds(0)
	}
	age := time.Duration(now - op.At)
	if op.At == 0 || op.Form.Valid != 0 && op.Form.Valid <= age {
		return seconds(0), seconds(0)
	}
	if op.Form.Valid != 0 {
		op.Form.Valid -= age
	}
	preferred, valid = seconds(op.Form.Valid), seconds(op.Form.Valid)
	if op.Form.Preferred > age {
		preferred = seconds(op.Form.Preferred - age)
	}
	return min(preferred, valid), valid
}

// ageing is where the lifetimes of an address stand in a batch, which is made ready long before it is fired.
type ageing struct {
	at int
	op Op
}

// cacheinfo is the size of struct ifa_cacheinfo, which ends the message.
const cacheinfo = 16

func (a *ageing) refresh(buf []byte, now int64) {
	preferred, valid := lifetimes(a.op, now)
	binary.NativeEndian.PutUint32(buf[a.at:], preferred)
	binary.NativeEndian.PutUint32(buf[a.at+4:], valid)
}

func boottime() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return ts.Nano()
}
