// SPDX-License-Identifier: Apache-2.0

// Package house holds the repository to its own rules: who may import whom (docs and
// architecture), whose licence stands in which file, and that docs/contract.md and the code say
// the same about commands, keys and JSON fields. It has tests only, and they need no root.
package house
