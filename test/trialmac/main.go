// SPDX-License-Identifier: Apache-2.0

// Command trialmac measures what one frame with the dead member's MAC from the survivor saves.
package main

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
	"github.com/ipmpd/ipmpd/test/lab/flow"
)

var more = netip.MustParsePrefix("10.99.0.0/16")

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// accept gives what is for another MAC to the host, as a unicast filter address and the tc program would.
func accept(ifindex int, mac []byte) (link.Link, error) {
	lo := int32(uint32(mac[0]) | uint32(mac[1])<<8 | uint32(mac[2])<<16 | uint32(mac[3])<<24)
	hi := int32(uint32(mac[4]) | uint32(mac[5])<<8)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.StoreImm(asm.RFP, -8, 0, asm.Word), asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -8),
		asm.Mov.Imm(asm.R4, 6),
		asm.FnSkbLoadBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, "out"),
		asm.LoadMem(asm.R1, asm.RFP, -8, asm.Word),
		asm.JNE.Imm32(asm.R1, lo, "out"),
		asm.LoadMem(asm.R1, asm.RFP, -4, asm.Half),
		asm.JNE.Imm32(asm.R1, hi, "out"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, 0), // PACKET_HOST
		asm.FnSkbChangeType.Call(),
		asm.Mov.Imm(asm.R0, -1).WithSymbol("out"), // TCX_NEXT
		asm.Return(),
	}})
	if err != nil {
		return nil, err
	}
	return link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: p, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
}

type move struct {
	at   int64
	port int
}

type fdb struct {
	mu    sync.Mutex
	moves []move
}

func (f *fdb) since(at int64) (list []move) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.moves {
		if m.at >= at {
			list = append(list, m)
		}
	}
	return list
}

type sample struct {
	first, last, static      flow.Gap
	verdict, announced       int64
	moves                    int
	firstBack, moved, healed int
	staticBack               flow.Gap
}

func main() {
	flow.Child()
	addresses := flag.Int("addresses", 1000, "")
	rate := flag.Int("rate", 1000, "")
	cuts := flag.String("cuts", "both,tx,rx", "")
	variants := flag.String("variants", "0,1", "")
	n := flag.Int("n", 15, "")
	round := flag.Duration("round", 100*time.Microsecond, "")
	misses := flag.Int("misses", 3, "")
	window := flag.Duration("window", 300*time.Millisecond, "")
	binary := flag.String("binary", "/tmp/trialmac-ipmpd", "")
	outbound := flag.Bool("outbound", false, "")
	flag.Parse()

	l, err := lab.New(lab.Options{})
	must(err)
	defer func() { must(l.Close()) }()
	defer func() {
		if r := recover(); r != nil {
			fmt.Println(l.Dump())
			l.Close()
			panic(r)
		}
	}()

	path := filepath.Join(l.Dir, "trial")
	must(os.WriteFile(path, make([]byte, 4096), 0o644))
	fd, err := unix.Open(path, unix.O_RDWR, 0)
	must(err)
	page, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	mac := l.Members[0].MAC()
	copy(page[1:7], mac)
	os.Setenv("IPMPD_TRIAL", path)

	last := lab.Nth(more, *addresses-1)
	must(l.Classify(faults.Data, last.Addr()))
	must(l.Peer.AddAddr("eth0", "10.99.250.1/16"))

	var b strings.Builder
	fmt.Fprintf(&b, "groups:\n  bench:\n    detection-time: %s\n    misses: %d\n", strings.ReplaceAll((time.Duration(*misses+1)**round).String(), "µ", "u"), *misses)
	fmt.Fprintf(&b, "    probe: icmp\n    attach: tcx\n    flap-limit: 0\n    hold-down: 0s\n    duplicate-check: false\n    spread: false\n    targets: [%s]\n", lab.Router)
	fmt.Fprintf(&b, "    announce: {rate: %d}\n    interfaces:\n", *rate)
	for i, m := range l.Members {
		fmt.Fprintf(&b, "      %s:\n        test: [%q]\n", m.Name, netip.PrefixFrom(lab.TestAddr(i), 24))
	}
	fmt.Fprintf(&b, "    addresses:\n      - {address: %q, home: hme0}\n", netip.PrefixFrom(lab.Data, 24))
	for i := 1; i < *addresses; i++ {
		fmt.Fprintf(&b, "      - {address: %q, home: hme0}\n", lab.Nth(more, i))
	}
	d, err := l.Daemon(*binary, b.String())
	must(err)
	must(d.WaitReady(30 * time.Second))

	// accepting the other's MAC
	h1, err := l.Host.Link("hme1")
	must(err)
	var keep link.Link
	must(l.Host.Do(func() error { keep, err = accept(h1.Attrs().Index, mac); return err }))
	defer func() { keep.Close() }()

	// a router with a static entry
	re, err := l.Router.Link("eth0")
	must(err)
	must(l.Router.Netlink.NeighSet(&netlink.Neigh{LinkIndex: re.Attrs().Index, IP: lab.Data.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PERMANENT}))

	// the switch's table
	sw, err := netns.GetFromName(strings.TrimSuffix(l.Host.Name, "host") + "switch0")
	must(err)
	news, done := make(chan netlink.NeighUpdate, 1024), make(chan struct{})
	must(netlink.NeighSubscribeAt(sw, news, done))
	defer func() {
		close(done)
		for range news {
		}
	}()
	table := &fdb{}
	go func() {
		for u := range news {
			if u.Type == unix.RTM_NEWNEIGH && u.Family == unix.AF_BRIDGE && slices.Equal(u.HardwareAddr, mac) {
				table.mu.Lock()
				table.moves = append(table.moves, move{faults.Now(), u.LinkIndex})
				table.mu.Unlock()
			}
		}
	}()

	bound := 20 * time.Second
	must(l.Wait("answer", bound, func() (bool, error) { return l.Peer.Reaches(lab.Data) }))
	specs := []flow.Spec{
		{Name: "first", From: l.Peer, To: l.Host, Source: lab.Peer, Destination: lab.Data},
		{Name: "static", From: l.Router, To: l.Host, Source: lab.Router, Destination: lab.Data},
		{Name: "reference", From: l.Peer, To: l.Router, Source: lab.Peer, Destination: lab.Router},
	}
	if *addresses > 1 {
		must(l.Wait("answer", bound, func() (bool, error) { return l.Peer.Reaches(last.Addr()) }))
		specs = append(specs, flow.Spec{Name: "last", From: l.Peer, To: l.Host, Source: netip.MustParseAddr("10.99.250.1"), Destination: last.Addr()})
	}
	if *outbound {
		specs = append(specs, flow.Spec{Name: "outbound", From: l.Host, To: l.Peer, Source: lab.Data, Destination: lab.Peer})
	}
	flows, err := flow.Start(specs...)
	must(err)
	defer func() { must(flows.Close()) }()
	first, static, reference, lastFlow := flows.Flows[0], flows.Flows[1], flows.Flows[2], flows.Flows[0]
	if *addresses > 1 {
		lastFlow = flows.Flows[3]
	}
	m, other := l.Members[0], l.Members[1]
	home := func() {
		must(l.Wait("home", bound, func() (bool, error) {
			s, err := d.Status()
			if err != nil {
				return false, err
			}
			g := s.Groups[0]
			if g.State != "ok" {
				return false, fmt.Errorf("%s", g.State)
			}
			for _, a := range g.Addresses {
				if a.State != "up" || a.Interface != "hme0" {
					return false, fmt.Errorf("%s on %s", a.Address, a.Interface)
				}
			}
			return true, nil
		}))
		must(l.Wait("no data on hme1", bound, func() (bool, error) {
			c, err := other.Port.Count(faults.To, faults.IP(faults.Data))
			if err != nil {
				return false, err
			}
			time.Sleep(30 * time.Millisecond)
			c2, err := other.Port.Count(faults.To, faults.IP(faults.Data))
			return c.Packets == c2.Packets, err
		}))
		now := faults.Now()
		must(l.Wait("traffic", bound, func() (bool, error) {
			return first.ArrivedSince(now) > 300 && lastFlow.ArrivedSince(now) > 300 && static.ArrivedSince(now) > 300, nil
		}))
	}
	rules := map[string][]faults.Rule{
		"both": faults.Both(faults.Drop, faults.Any()),
		"tx":   {faults.Drop(faults.From, faults.Any())},
		"rx":   {faults.Drop(faults.To, faults.Any())},
	}
	results := map[string][]sample{}
	var keys []string
	var noise []int64
	for i := range *n {
		for _, cut := range strings.Split(*cuts, ",") {
			list := strings.Split(*variants, ",")
			if i%2 == 1 {
				slices.Reverse(list)
			}
			for _, v := range list {
				home()
				page[0] = v[0] - '0'
				if v == "2" { // as the host is today
					must(keep.Close())
				}
				must(other.Port.Reset(faults.From, faults.Announced))
				must(m.Port.Reset(faults.From, faults.Announced))
				var at int64
				if cut == "carrier" {
					at, err = m.CutCarrier()
					must(err)
					c, err := m.Port.Count(faults.From, faults.All)
					must(err)
					at = max(at, c.Last)
				} else {
					must(m.Port.Set(rules[cut]...))
					must(l.Wait("cut", time.Second, func() (bool, error) { at, err = m.Port.CutAt(); return at != 0, err }))
				}
				end := at + int64(*window)
				must(l.Wait("window", bound, func() (bool, error) { return faults.Now() > end+20e6, nil }))
				s := sample{first: first.Gap(at, end), last: lastFlow.Gap(at, end), static: static.Gap(at, end)}
				s.moves = len(table.since(at))
				c, err := other.Port.Count(faults.From, faults.Announced)
				must(err)
				s.announced = c.First - at
				noise = append(noise, int64(reference.Gap(at, end).Longest))
				if s.last.Longest > 50*time.Millisecond && *rate == 0 {
					o, _ := m.Port.Count(faults.From, faults.Announced)
					fmt.Printf("OUTLIER %d %s last %v start %d end %d; hme0 announced %d first %d last %d us; hme1 announced %d first %d last %d us\n", i, v, s.last.Longest,
						(s.last.Start-at)/1000, (s.last.End-at)/1000, o.Packets, (o.First-at)/1000, (o.Last-at)/1000, c.Packets, (c.First-at)/1000, (c.Last-at)/1000)
				}
				from := faults.Now()
				must(m.Repair())
				home()
				if v == "2" {
					must(l.Host.Do(func() error { keep, err = accept(h1.Attrs().Index, mac); return err }))
				}
				to := faults.Now()
				s.firstBack, s.staticBack = first.Gap(from, to).Lost+lastFlow.Gap(from, to).Lost, static.Gap(from, to)
				k := cut + " " + v
				if results[k] == nil {
					keys = append(keys, k)
				}
				results[k] = append(results[k], s)
			}
		}
	}
	slices.Sort(keys)
	q := func(list []sample, f func(sample) int64) string {
		var v []int64
		for _, s := range list {
			v = append(v, f(s))
		}
		slices.Sort(v)
		at := func(p float64) float64 { return float64(v[int(p*float64(len(v)-1)+0.5)]) / 1e3 }
		return fmt.Sprintf("p50 %.0f p99 %.0f max %.0f us", at(0.5), at(0.99), at(1))
	}
	mean := func(list []sample, f func(sample) int) float64 {
		t := 0
		for _, s := range list {
			t += f(s)
		}
		return float64(t) / float64(len(list))
	}
	for _, k := range keys {
		r := results[k]
		fmt.Printf("%s n %d\n  first  %s\n  last   %s\n  static %s\n  announced %s\n", k, len(r),
			q(r, func(s sample) int64 { return int64(s.first.Longest) }), q(r, func(s sample) int64 { return int64(s.last.Longest) }),
			q(r, func(s sample) int64 { return int64(s.static.Longest) }), q(r, func(s sample) int64 { return s.announced }))
		fmt.Printf("  lost: first %.1f last %.1f static %.1f of %.0f; static open %.2f; moves of the MAC %.1f; lost on the way back: first+last %.1f static %.1f\n",
			mean(r, func(s sample) int { return s.first.Lost }), mean(r, func(s sample) int { return s.last.Lost }),
			mean(r, func(s sample) int { return s.static.Lost }), mean(r, func(s sample) int { return s.static.Sent }),
			mean(r, func(s sample) int {
				if s.static.Open {
					return 1
				}
				return 0
			}),
			mean(r, func(s sample) int { return s.moves }), mean(r, func(s sample) int { return s.firstBack }),
			mean(r, func(s sample) int { return s.staticBack.Lost }))
	}
	slices.Sort(noise)
	fmt.Printf("reference p50 %d max %d us\n", noise[len(noise)/2]/1000, noise[len(noise)-1]/1000)
}
