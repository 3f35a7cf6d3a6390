// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TrialPage is shared with the trial: mode, MAC of the dead member.
var TrialPage = openTrial()

var trialFrame = [60]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 12: 0x88, 13: 0xb5}

func openTrial() []byte {
	path := os.Getenv("IPMPD_TRIAL")
	if path == "" {
		return nil
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	page, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return page
}

func (b *Batch) trial() {
	if TrialPage == nil || TrialPage[0] != 1 {
		return
	}
	copy(trialFrame[6:12], TrialPage[1:7])
	to := unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: b.burst.to[0].Ifindex, Protocol: 0xb588, Halen: 6}
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(b.a.sender.fd), uintptr(unsafe.Pointer(&trialFrame[0])), 60, 0,
		uintptr(unsafe.Pointer(&to)), unix.SizeofSockaddrLinklayer)
	if errno != 0 {
		panic(errno)
	}
}
