// SPDX-License-Identifier: Apache-2.0

package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// contract reads docs/contract.md, or one of its sections.
func contract(t *testing.T, section string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), "docs/contract.md"))
	require.NoError(t, err)
	if section == "" {
		return string(data)
	}
	_, rest, ok := strings.Cut(string(data), "\n## "+section+". ")
	require.True(t, ok, "docs/contract.md has no section %s", section)
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// blocks returns the fenced blocks of a language.
func blocks(text, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// docs/contract.md is the contract's copy and grows with the product: what stands in the contract
// stays true, so every line of it is still there. Beside the clone lies the contract itself where
// the project is developed; elsewhere there is nothing to compare with.
func TestContractIsACopy(t *testing.T) {
	shared := filepath.Join(root(t), "../shared/design")
	if _, err := os.Stat(shared); os.IsNotExist(err) {
		return
	}
	data, err := os.ReadFile(filepath.Join(shared, "contract.md"))
	require.NoError(t, err)
	lines := make(map[string]bool)
	for line := range strings.Lines(contract(t, "")) {
		lines[strings.TrimSpace(line)] = true
	}
	for line := range strings.Lines(string(data)) {
		require.True(t, lines[strings.TrimSpace(line)], "docs/contract.md lost this line of the contract:\n%s", line)
	}
}
