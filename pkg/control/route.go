// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"net/http"
	"strings"
)

// route is what a request line asks for.
type route struct {
	name   string // what to do; the verbs of Command are names too
	write  bool   // changes something: root only
	ifname string
}

// maxIfname is IFNAMSIZ without the final zero.
const maxIfname = 15

// parseRequest finds the route of a method and an unescaped path.
func parseRequest(method, path string) (route, error) {
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return route{}, noSuchPath(path)
	}
	rt := route{name: rest}
	switch rest {
	case "status", "history", "version", "events", "probes":
	case "reload", "release":
		rt.write = true
	default:
		parts := strings.Split(rest, "/")
		if len(parts) != 3 || parts[0] != "interfaces" || parts[2] != Offline && parts[2] != Online {
			return route{}, noSuchPath(path)
		}
		if !validIfname(parts[1]) {
			return route{}, badRequest(fmt.Sprintf("%.40q is no interface name", parts[1]), "see `ipmpd status` for the names")
		}
		rt = route{name: parts[2], write: true, ifname: parts[1]}
	}
	want := http.MethodGet
	if rt.write {
		want = http.MethodPost
	}
	if method != want {
		return route{}, &Error{http.StatusMethodNotAllowed, fmt.Sprintf("%.20q is not allowed on %s", method, path), "use " + want}
	}
	return rt, nil
}

// validIfname is the kernel's dev_valid_name.
func validIfname(name string) bool {
	if name == "" || len(name) > maxIfname || name == "." || name == ".." {
		return false
	}
	return !strings.ContainsAny(name, "/: \t\n\v\f\r\x00")
}

func noSuchPath(path string) *Error {
	return NotFound(fmt.Sprintf("no such path %.60q", path), "the paths are listed in docs/contract.md, section 4")
}
