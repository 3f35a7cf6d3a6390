// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// emulate boots a kernel and returns when it has switched itself off. What the guest prints is in
// NAME.out, what the kernel prints in NAME.console. Nothing of this machine gets into the guest, no time, no
// randomness: the same kernel with the same initramfs does the same to the last instruction.
func emulate(ctx context.Context, k *kernel, initramfs, name string, limit time.Duration) (out string, err error) {
	out, console := name+".out", name+".console"
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		return out, fmt.Errorf("%w; apt-get install qemu-system-x86", err)
	}
	cmd := exec.CommandContext(ctx, "nice", "-n", "19", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
		"-machine", "pc", "-m", "2048", "-smp", "1", "-display", "none",
		"-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", "max,-rdrand,-rdseed",
		"-rtc", "base=2026-01-01,clock=vm", "-seed", "1",
		"-kernel", k.image(), "-initrd", initramfs,
		"-append", "console=ttyS0 loglevel=4 panic=-1 nokaslr net.ifnames=0 random.trust_bootloader=on",
		"-serial", "file:"+console, "-serial", "file:"+out)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	text, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return out, fmt.Errorf("the guest goes on after %v; see %s and %s", limit, out, console)
	case err != nil:
		return out, fmt.Errorf("qemu: %w: %s", err, text)
	}
	return out, nil
}
