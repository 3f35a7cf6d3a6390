// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// end of a cable.
type end struct {
	ns   *Netns
	name string
	mac  net.HardwareAddr
}

// cable joins a far end to a port of a switch.
type cable interface {
	// carrier plugs the far end's cable in or pulls it.
	carrier(on bool) error
	// close removes both ends.
	close() error
}

// vethCable has the same ifindex at both ends: for the kernel's linkwatch such a device is a plain
// NIC, with the second of delay that an ordinary veth pair hides (detection.md section 4).
type vethCable struct {
	far, near end
	port      netlink.Link
}

func newVeth(far, near end, index int) (*vethCable, error) {
	err := far.ns.Do(func() error {
		req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
		msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
		msg.Index = int32(index)
		req.AddData(msg)
		req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(far.name)))
		req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, far.mac))
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
		peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
		nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC).Index = int32(index)
		peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(near.name))
		peer.AddRtAttr(unix.IFLA_ADDRESS, near.mac)
		peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(near.ns.fd)))
		req.AddData(info)
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create veth %s in %s: %w", far.name, far.ns.Name, err)
	}
	c := &vethCable{far: far, near: near}
	if c.port, err = near.ns.Link(near.name); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *vethCable) carrier(on bool) error {
	set, what := c.near.ns.Netlink.LinkSetDown, "down"
	if on {
		set, what = c.near.ns.Netlink.LinkSetUp, "up"
	}
	if err := set(c.port); err != nil {
		return fmt.Errorf("set port %s %s: %w", c.near.name, what, err)
	}
	return nil
}

func (c *vethCable) close() error {
	link, err := c.far.ns.Link(c.far.name)
	if err != nil {
		return err
	}
	if err := c.far.ns.Netlink.LinkDel(link); err != nil {
		return fmt.Errorf("delete %s in %s: %w", c.far.name, c.far.ns.Name, err)
	}
	return nil
}

// CableOptions say what a cable is made of. The zero value is veth.
type CableOptions struct {
	TAP bool // a pair of TAPs with a pump in this process between them
	// Delay of each frame in either direction; only with TAP.
	Delay time.Duration
}

func newCable(far, near end, index int, opts CableOptions) (cable, error) {
	if opts.TAP {
		return newTAP(far, near, opts.Delay)
	}
	if opts.Delay != 0 {
		return nil, fmt.Errorf("cable of %s: a delay needs TAP", far.name)
	}
	return newVeth(far, near, index)
}
