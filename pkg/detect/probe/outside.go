// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"runtime"
	_ "unsafe" // for go:linkname
)

// The prober's thread spends its life outside Go's scheduler, as if in one long system call. It has no
// place (P) there: nobody takes one away, nobody has to be found to give one back, and no monitor
// thread looks after it thousands of times a second. Docs: decision 18.
//
// What that asks of everything from rounds down is: go:nosplit, as the stack cannot grow; no
// allocation, no channel, no mutex; no pointer is written to memory that Go collects; and what is
// read is kept alive by outside's caller, since the collector does not see the frames below.
// TestOutsideNeedsNoGo looks at the compiled code.

//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

//go:linkname nanotime runtime.nanotime
func nanotime() int64

// loop sends rounds until the prober is stopped.
func (p *Prober) loop() {
	for !p.stopped.Load() {
		bell := p.bell.Load()
		plan, watches := p.plan.Load(), p.watching()
		if watches == nil {
			p.outside(plan)
		} else {
			// Telling them is Go's business.
			p.sleep(p.pass(plan, watches, nowNs()), bell)
		}
		runtime.KeepAlive(plan)
	}
}

// outside sends the rounds of a plan until something changes: the bell rings.
//
//go:nosplit
//go:norace
func (p *Prober) outside(plan *compiledPlan) {
	entersyscall()
	p.rounds(plan)
	exitsyscall()
}

//go:nosplit
//go:norace
//go:noinline
func (p *Prober) rounds(plan *compiledPlan) {
	for {
		bell := p.bell.Load()
		if p.stopped.Load() || p.plan.Load() != plan || p.watches.Load() != nil {
			return
		}
		p.sleepOutside(p.pass(plan, nil, nowNs()), bell)
	}
}
