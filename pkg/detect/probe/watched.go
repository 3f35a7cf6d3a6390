// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"slices"
	"time"
)

// Watched is a member whose carrier is asked for, again and again, while the kernel may be late to tell
// of it (detection.md section 4).
type Watched struct {
	Member, Ifindex int
	Group           int // its slot
	// Every is the time from question to question. They go on for For after news of its group, and for
	// Strange after news of a link that is in no group; 0: not.
	Every, For, Strange time.Duration
}

// until is when the questions end. Times are CLOCK_MONOTONIC ns; news 0: there was none.
func (w *Watched) until(group, strange int64) (end int64) {
	if group != 0 {
		end = group + w.For.Nanoseconds()
	}
	if strange != 0 && w.Strange != 0 {
		end = max(end, strange+w.Strange.Nanoseconds())
	}
	return end
}

// askTimes is whom to ask when. It belongs to the asker's thread.
type askTimes struct {
	list *[]Watched
	due  []int64 // by member of the list, when it is asked next
}

// turn calls ask for each member whose time has come, and returns when the next one's does; 0: nobody's,
// until there are news.
func (s *askTimes) turn(now int64, list *[]Watched, news func(group int) (own, strange int64), ask func(*Watched)) (next int64) {
	if list == nil {
		return 0
	}
	if list != s.list {
		s.list, s.due = list, slices.Grow(s.due[:0], len(*list))[:len(*list)]
		clear(s.due)
	}
	for i := range *list {
		w := &(*list)[i]
		own, strange := news(w.Group)
		end := w.until(own, strange)
		if now > end {
			s.due[i] = 0
			continue
		}
		if now >= s.due[i] {
			ask(w)
			s.due[i] = now + w.Every.Nanoseconds() // what is late is not made up for
		}
		if s.due[i] <= end && (next == 0 || s.due[i] < next) {
			next = s.due[i]
		}
	}
	return next
}
