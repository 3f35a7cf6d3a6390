// SPDX-License-Identifier: Apache-2.0

package control

import "net/http"

// WrongConfig is the HTTP status of an *Error that says what is wrong with a configuration, and where.
const WrongConfig = http.StatusUnprocessableEntity

// Reload is what POST /v1/reload answers.
type Reload struct {
	// Summary says which groups changed, are new and are gone, or that nothing changed.
	Summary string `json:"summary"`
	// Warnings of the configuration, and of what takes a restart.
	Warnings List[string] `json:"warnings"`
}
