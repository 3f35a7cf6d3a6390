// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"net/http"
	"strings"
)

// Error is a refusal: what went wrong, what to do, and as which HTTP status it
// crosses the socket. A Backend returns one where the caller is to see more
// than "internal error". On the client's side Cause holds the whole text.
type Error struct {
	Status int // HTTP status; 0 is 500
	Cause  string
	Advice string // may be empty
}

func (e *Error) Error() string {
	if e.Advice == "" {
		return e.Cause
	}
	return e.Cause + "; " + e.Advice
}

// Refused is for a command that is understood and not carried out, such as
// offline for the last usable member (409).
func Refused(cause, advice string) *Error {
	return &Error{Status: http.StatusConflict, Cause: cause, Advice: advice}
}

// Doubled is for an online of a member whose MAC another member of its group has (423).
func Doubled(cause, advice string) *Error {
	return &Error{Status: http.StatusLocked, Cause: cause, Advice: advice}
}

// NotFound is for a name that the daemon does not know (404).
func NotFound(cause, advice string) *Error {
	return &Error{Status: http.StatusNotFound, Cause: cause, Advice: advice}
}

// NotBuilt is for a feature that this release does not have (501).
func NotBuilt(what string) *Error {
	return &Error{Status: http.StatusNotImplemented, Cause: what + " is not built yet", Advice: "it comes with a later release"}
}

func badRequest(cause, advice string) *Error {
	return &Error{Status: http.StatusBadRequest, Cause: cause, Advice: advice}
}

// NoDaemonError says that nobody listens on a socket.
type NoDaemonError struct {
	Path string
}

func (e *NoDaemonError) Error() string {
	return fmt.Sprintf("no daemon at %s; start it with `ipmpd run`, or name its socket with --socket", e.Path)
}

// InUseError says that another daemon listens on a socket. PID is 0 and
// Version empty where they could not be learnt.
type InUseError struct {
	Path    string
	PID     int
	Version string
}

func (e *InUseError) Error() string {
	var who strings.Builder
	who.WriteString("another daemon")
	if e.Version != "" {
		fmt.Fprintf(&who, ", ipmpd %s", e.Version)
	}
	if e.PID != 0 {
		fmt.Fprintf(&who, ", pid %d", e.PID)
	}
	return fmt.Sprintf("%s is in use by %s; stop that one, or give this one its own --socket", e.Path, who.String())
}
