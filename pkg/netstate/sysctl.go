// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"os"
	"path/filepath"
	"strings"
)

// Sysctls reads the values of keys (net/ipv4/conf/eth0/rp_filter) in the calling thread's network
// namespace. One that does not exist or cannot be read is absent from the answer.
func Sysctls(keys []string) map[string]string {
	out := make(map[string]string, len(keys))
	for _, key := range keys {
		value, err := os.ReadFile(filepath.Join("/proc/sys", filepath.FromSlash(key)))
		if err == nil {
			out[key] = strings.TrimSpace(string(value))
		}
	}
	return out
}
