// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"fmt"
	"time"

	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// CutTwice pulls the first member's cable and, within a second, that of the member over which the
// traffic of one direction then goes: netlink alone would tell of the second up to a second late.
// It needs three members.
func (t *Trial) CutTwice(d faults.Direction) (first, second Cut, err error) {
	if len(t.Lab.Members) < 3 {
		return first, second, fmt.Errorf("cut twice: needs 3 members, there are %d", len(t.Lab.Members))
	}
	if first, err = t.Cut(Carrier); err != nil || first.Missed {
		return first, second, err
	}
	inbound, err := t.carriers(faults.To)
	if err != nil {
		return first, second, err
	}
	outbound, err := t.carriers(faults.From)
	if err != nil {
		return first, second, err
	}
	over := inbound
	if d == faults.From {
		over = outbound
	}
	if len(over) != 1 {
		return first, second, fmt.Errorf("cut twice: inbound traffic goes over %s, outbound over %s", names(inbound), names(outbound))
	}
	if second, err = t.CutMember(Carrier, over[0]); err != nil {
		return first, second, err
	}
	second.InboundElsewhere = only(inbound, over[0]) != nil
	second.OutboundElsewhere = only(outbound, over[0]) != nil
	if apart := time.Duration(second.At - first.At); apart >= time.Second {
		return first, second, fmt.Errorf("cut twice: the second came %s after the first", apart)
	}
	return first, second, nil
}
