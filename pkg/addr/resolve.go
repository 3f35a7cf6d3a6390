// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Resolve asks for an on-link neighbour's MAC on a link. The kernel gets an entry that it resolves
// itself (NTF_USE); where that cannot be trusted to ask again (an entry that it believes in is not
// asked for), an ARP request goes out besides, from source, or from 0.0.0.0 where the zero Addr is
// given. The answer comes by way of the neighbour table. source must never be a data address:
// targets would learn it here.
func (a *Applier) Resolve(link int, mac MAC, source, target netip.Addr) error {
	m := message{}
	m.begin(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE)
	m.u8(family(target), 0)
	m.u16(0)
	m.u32(uint32(link))
	m.u16(0) // NUD_NONE
	m.u8(unix.NTF_USE, 0)
	m.attrIP(unix.NDA_DST, target)
	m.end()
	var failed error
	a.mu.Lock()
	a.kernel.Exchange(m.buf, func(_ int, err error) { failed = err })
	a.mu.Unlock()
	if failed != nil {
		return fmt.Errorf("ask the kernel for %s on interface %d: %w", target, link, failed)
	}
	if !target.Is4() {
		return nil
	}
	if !source.IsValid() {
		source = netip.IPv4Unspecified()
	}
	frame := appendEther(nil, Broadcast, mac, unix.ETH_P_ARP)
	frame = AppendARP(frame, &ARP{Op: arpRequest, SenderMAC: mac, SenderIP: source, TargetIP: target})
	frame = append(frame, make([]byte, max(0, etherMin-len(frame)))...)
	_, err := a.sender.Send([]Frame{{Link: link, Address: target, Data: frame}})
	return err
}
