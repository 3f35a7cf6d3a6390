// SPDX-License-Identifier: Apache-2.0

// Package result is what the failover benchmark leaves: one JSON file for each cell, that is for
// each contender in each scenario, and the statistics over them. Pure, but for the files.
package result
