// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/json"
	"fmt"
	"io"
)

// List is a slice that is [] in JSON also when nil, because the contract
// promises that lists are always there. A []T can be assigned to it.
type List[T any] []T

// MarshalJSON writes a nil list as [].
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}

// Encode writes what MarshalJSON returns, one element after the other: a history of thousands of addresses is
// never in memory as a whole.
func (l List[T]) Encode(w io.Writer) error {
	for i := range l {
		element, err := json.Marshal(&l[i])
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		before := ","
		if i == 0 {
			before = "["
		}
		if _, err := io.WriteString(w, before); err != nil {
			return err
		}
		if _, err := w.Write(element); err != nil {
			return err
		}
	}
	end := "]"
	if len(l) == 0 {
		end = "[]"
	}
	_, err := io.WriteString(w, end)
	return err
}
