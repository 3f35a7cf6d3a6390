// SPDX-License-Identifier: Apache-2.0

package control

import "encoding/json"

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
