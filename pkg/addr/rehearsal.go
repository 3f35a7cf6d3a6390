// SPDX-License-Identifier: Apache-2.0

package addr

// Rehearsal is a host on which operations are tried out: they have the effects that they have in the
// kernel, the unwanted ones too, and what that would refuse is refused.
type Rehearsal struct {
	m     *model
	links []HostLink
}

// Rehearse on a host, which is not changed.
func Rehearse(o Observed) *Rehearsal { return &Rehearsal{newModel(&o), o.Links} }

// Do one operation; where the kernel would refuse it, nothing has changed.
func (r *Rehearsal) Do(op *Op) error { return r.m.apply(op) }

// Observed is the host by now.
func (r *Rehearsal) Observed() Observed { return r.m.observed(r.links) }

// With returns the host as it will be after ops, side effects of the kernel included; what the
// kernel would refuse changes nothing. o itself is not changed. With it a contingency is planned
// from the state that will be:
//
//	Plan(After(d, ...), o.With(Plan(d, o)))
func (o Observed) With(ops []Op) Observed {
	r := Rehearse(o)
	for i := range ops {
		_ = r.Do(&ops[i]) // refused: nothing changes
	}
	return r.Observed()
}
