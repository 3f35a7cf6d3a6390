// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// Sysctls reads the values of keys (net/ipv4/conf/eth0/rp_filter) in the calling thread's network
// namespace. One that does not exist or cannot be read is absent from the answer.
func Sysctls(keys []string) map[string]string {
	out := make(map[string]string, len(keys))
	for _, key := range keys {
		if value, ok := sysctl("/proc/sys/" + key); ok {
			out[key] = value
		}
	}
	return out
}

// sysctl reads a small file without what os.File adds: there are six of each interface, at every look
// at the host.
func sysctl(path string) (value string, ok bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	var buf [128]byte
	n, err := unix.Read(fd, buf[:])
	_ = unix.Close(fd) // nothing was written
	if err != nil {
		return "", false
	}
	return string(bytes.TrimSpace(buf[:n])), true
}
