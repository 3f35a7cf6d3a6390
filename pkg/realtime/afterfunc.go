// SPDX-License-Identifier: Apache-2.0

package realtime

import "context"

// AfterFunc calls f when ctx ends, as context.AfterFunc does; stop ends that, and waits for f where it has
// begun: what f writes to may be closed then.
func AfterFunc(ctx context.Context, f func()) (stop func()) {
	called := make(chan struct{})
	end := context.AfterFunc(ctx, func() {
		defer close(called)
		f()
	})
	return func() {
		if !end() {
			<-called
		}
	}
}
