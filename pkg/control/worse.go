// SPDX-License-Identifier: Apache-2.0

package control

// How bad a state or probe result is; what is not named is as bad as unknown.
var badness = map[string]int{"ok": 1, "disabled": 1, "unknown": 2, "offline": 3, "failed": 4, "missing": 5}

func bad(word string) int {
	if n, ok := badness[word]; ok {
		return n
	}
	return badness["unknown"]
}

// worse tells whether b is worse than a. Between equal states the family that
// answers more slowly is the worse one, and one that is measured is worse than
// one of which nothing is known: it has more to say.
func worse(a, b Family) bool {
	if bad(a.State) != bad(b.State) {
		return bad(b.State) > bad(a.State)
	}
	if bad(a.Probe) != bad(b.Probe) {
		return bad(b.Probe) > bad(a.Probe)
	}
	if a.RTTP99NS == nil || b.RTTP99NS == nil {
		return a.RTTP99NS == nil && b.RTTP99NS != nil
	}
	return *b.RTTP99NS > *a.RTTP99NS
}

// SetFamilies sets the families of an interface and, from them, the fields
// that both have (contract section 4).
func (i *Interface) SetFamilies(families Families) {
	i.Families = families
	i.Active = false
	first := true
	var worst Family
	for _, name := range []string{"ipv4", "ipv6"} {
		f, ok := families[name]
		if !ok {
			continue
		}
		i.Active = i.Active || f.Active
		if first || worse(worst, f) {
			worst, first = f, false
		}
	}
	if first {
		return
	}
	i.State, i.Probe, i.Targets = worst.State, worst.Probe, worst.Targets
	i.RTTP50NS, i.RTTP99NS = worst.RTTP50NS, worst.RTTP99NS
	i.RoundsSent, i.RoundsMissed = worst.RoundsSent, worst.RoundsMissed
}
