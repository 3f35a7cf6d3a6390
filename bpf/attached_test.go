// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRestore puts on again what somebody has taken off, and only that.
func TestRestore(t *testing.T) {
	for _, mode := range modes {
		for name, hookOf := range map[string]func(a *Attachment) hook{
			"ingress": func(a *Attachment) hook { return a.ingress },
			"egress":  func(a *Attachment) hook { return a.egress },
		} {
			t.Run(string(mode)+" "+name, func(t *testing.T) {
				needRoot(t)
				needModes(t, mode)
				opt := Options{PinPath: pinFolder(t)}
				s := newSpace(t)
				l := s.veth(t, "m0")
				o := loadForTest(t, opt)
				a, err := o.Attach(l.Attrs().Index, mode)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, a.Detach()) })
				require.True(t, a.Attached())
				require.NoError(t, o.Restore(a))
				kept := map[string]hook{"ingress": a.egress, "egress": a.ingress}[name]

				switch h := hookOf(a).(type) {
				case bpfLink:
					require.NoError(t, h.link.Detach()) // as `bpftool link detach`: the pin stays
				default:
					require.NoError(t, h.detach())
				}
				require.False(t, a.Attached())
				require.NoError(t, o.Restore(a))
				require.True(t, a.Attached())
				s.seesBoth(t, o, l, true)
				require.Equal(t, kept, map[string]hook{"ingress": a.egress, "egress": a.ingress}[name], "the other goes on")
			})
		}
	}
}
