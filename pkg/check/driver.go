// SPDX-License-Identifier: Apache-2.0

package check

// Driver of a member.
type Driver struct {
	Member string
	// Name as ethtool -i says it; "" is unknown.
	Name string
	// Attach as configured: auto, tcx, xdp, xdp-generic.
	Attach string
	TCX    Known
	// XDPByOther is the foreign XDP program on it, if there is one.
	XDPByOther string
}

// costs of attaching native XDP, by driver (detection.md section 6).
var costs = map[string]string{
	"veth":       "TCP through it falls from 25 to 4 - 5 Gbit/s",
	"ixgbe":      "attaching takes the link down for up to 20 s, detaching too",
	"ixgbevf":    "attaching takes the link down for up to 20 s, detaching too",
	"mlx5_core":  "detaching resets the link",
	"virtio_net": "attaching switches off guest offloads (LRO, GRO_HW)",
}

// Drivers is how programs will hang on members, and what that costs.
func Drivers(drivers []Driver) []Finding {
	var found []Finding
	for _, d := range drivers {
		name := d.Name
		if name == "" {
			name = "of an unknown name"
		}
		mode := map[Known]string{Yes: "tcx", No: "clsact", Unknown: "tcx, or by clsact before Linux 6.6"}[d.TCX]
		switch d.Attach {
		case "xdp":
			found = append(found, xdp(d, name))
		case "xdp-generic":
			found = append(found, warning(d.Member, "driver %s, `attach: xdp-generic`: every packet is made linear and copied where needed before it is looked at", name).
				do("use attach: auto, which costs less on every driver; xdp-generic is for trials"))
		case "tcx":
			if d.TCX == No {
				found = append(found, failure(d.Member, "`attach: tcx`, but this kernel has no TCX; only its link would be watched").
					do("use attach: auto, which takes clsact here, or Linux 6.6"))
				continue
			}
			found = append(found, ok(d.Member, "driver %s, attaches by tcx", name))
		default:
			found = append(found, ok(d.Member, "driver %s, attaches by %s", name, mode))
		}
		if d.Attach == "xdp" || d.Attach == "xdp-generic" {
			found = append(found, taken(d)...)
		}
	}
	return found
}

func xdp(d Driver, name string) Finding {
	f := warning(d.Member, "driver %s, `attach: xdp`: what it costs here is not known", name).
		do("measure throughput, and watch the link while attaching, before this is used in earnest; attach: auto costs neither")
	if cost, known := costs[d.Name]; known {
		f = warning(d.Member, "driver %s, `attach: xdp`: %s", name, cost).
			do("use attach: auto, unless the earlier time stamp is worth it")
	}
	return f
}

// taken: the kernel has room for one XDP program an interface, and the daemon removes nobody's.
func taken(d Driver) []Finding {
	if d.XDPByOther == "" {
		return nil
	}
	return []Finding{failure(d.Member, "XDP is taken by %s: ours cannot be attached, and only the link would be watched", d.XDPByOther).
		do("take that program off, or use attach: auto")}
}
