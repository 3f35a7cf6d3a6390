// SPDX-License-Identifier: Apache-2.0

package control

// Version is the answer to GET /v1/version.
type Version struct {
	Version  string       `json:"version"`
	Commit   string       `json:"commit"`
	Go       string       `json:"go"`
	Kernel   string       `json:"kernel"`
	Features List[string] `json:"features"` // kernel features in use
}
