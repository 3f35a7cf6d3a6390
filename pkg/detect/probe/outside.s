// SPDX-License-Identifier: Apache-2.0

// Empty: functions without a body (outside.go) need a file of assembly beside them.
