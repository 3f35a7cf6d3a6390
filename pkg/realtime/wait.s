// SPDX-License-Identifier: Apache-2.0

// Without this file the compiler would not let functions be declared without a body.
