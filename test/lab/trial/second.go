// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"fmt"
	"slices"
	"time"

	"github.com/ipmpd/ipmpd/test/lab"
	"github.com/ipmpd/ipmpd/test/lab/faults"
)

// CutTwice pulls the first member's cable and, within a second, that of the member which then has
// the data address: netlink alone would tell of the second up to a second late. It needs three
// members.
func (t *Trial) CutTwice() (first, second Cut, err error) {
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
	if len(inbound) != 1 {
		return first, second, fmt.Errorf("cut twice: inbound traffic goes over %s", names(inbound))
	}
	if second, err = t.CutMember(Carrier, inbound[0]); err != nil {
		return first, second, err
	}
	second.Elsewhere = !slices.Equal(outbound, []*lab.Member{inbound[0]})
	if apart := time.Duration(second.At - first.At); apart >= time.Second {
		return first, second, fmt.Errorf("cut twice: the second came %s after the first", apart)
	}
	return first, second, nil
}
