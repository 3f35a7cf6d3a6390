// SPDX-License-Identifier: Apache-2.0

// Command guest is process 1 of the virtual machine: it mounts what tests need, loads the plan's
// modules, runs the plan's programs with their output on the second serial port, looks through the
// kernel's log and switches the machine off. It does nothing where it is not process 1.
package main
