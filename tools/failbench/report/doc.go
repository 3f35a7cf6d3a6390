// SPDX-License-Identifier: Apache-2.0

// Package report draws the failover benchmark's results: Markdown and SVG. Pure: cells in, text out.
package report
