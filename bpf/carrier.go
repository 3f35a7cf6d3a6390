// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Carrier asks for an interface's carrier without waiting for RTNL (carrier.bpf.c). It belongs to
// one goroutine, which may be locked to a real-time thread; Ask does not allocate.
type Carrier struct {
	program *ebpf.Program
	attr    testRun
	context skbIfindex
	frame   [64]byte
}

// testRun is union bpf_attr of BPF_PROG_TEST_RUN.
type testRun struct {
	fd, retval                  uint32
	sizeIn, sizeOut             uint32
	dataIn, dataOut             uint64
	repeat, duration            uint32
	contextSizeIn, contextSize  uint32
	contextIn, contextOut       uint64
	flags, cpu, batchSize, none uint32
}

// skbIfindex is the head of struct __sk_buff up to ifindex, which PROG_TEST_RUN accepts.
type skbIfindex struct {
	before  [10]uint32
	ifindex uint32
	after   [37]uint32
}

// OpenCarrier loads the program. Errors: *FeatureError before Linux 6.2.
func OpenCarrier() (*Carrier, error) {
	cs, err := loadCarrier()
	if err != nil {
		return nil, fmt.Errorf("read BPF objects: %w", err)
	}
	delete(cs.Maps, ".bss")
	cs.Variables = nil
	coll, err := ebpf.NewCollection(cs)
	if err != nil {
		return nil, &FeatureError{What: "load the carrier program", Needs: "Linux 6.2 or newer (bpf_cast_to_kern_ctx)", Err: err}
	}
	c := &Carrier{program: coll.Programs["ipmp_carrier"]}
	c.attr = testRun{
		fd: uint32(c.program.FD()), sizeIn: uint32(len(c.frame)), contextSizeIn: uint32(unsafe.Sizeof(c.context)),
		dataIn: uint64(uintptr(unsafe.Pointer(&c.frame[0]))), contextIn: uint64(uintptr(unsafe.Pointer(&c.context))),
	}
	return c, nil
}

// Close unloads the program.
func (c *Carrier) Close() error { return c.program.Close() }

// Ask is the carrier, as far as the interface is up, in the network namespace of the calling
// thread, and whether the kernel sends over it: a moment after the carrier has come it does not yet.
// The error is ENODEV for an interface that does not exist.
func (c *Carrier) Ask(ifindex int) (up, sends bool, err error) {
	c.context.ifindex = uint32(ifindex)
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_TEST_RUN, uintptr(unsafe.Pointer(&c.attr)), unsafe.Sizeof(c.attr))
	switch {
	case errno != 0:
		return false, false, errno
	case c.attr.retval == uint32(carrierCarrierAnswerCARRIER_NO_DEVICE):
		return false, false, unix.ENODEV
	}
	sends = c.attr.retval == uint32(carrierCarrierAnswerCARRIER_UP)
	return sends || c.attr.retval == uint32(carrierCarrierAnswerCARRIER_NO_QUEUE), sends, nil
}
