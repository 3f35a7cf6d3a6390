// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// FuzzSolaris: whatever the files hold, the answer is a configuration that `import` prints in full,
// or one line of error with a place in one of the files.
func FuzzSolaris(f *testing.F) {
	f.Add("web1 group g up addif web2 deprecated -failover netmask + broadcast + up", "group g standby", "", "192.0.2.1 web1\n192.0.2.2 web2", "192.0.2.0 255.255.255.0", "FAILBACK=no")
	f.Add("ipmp group g web1\nup", "group g -failover web2", "addif 2001:db8::1/64", "192.0.2.1 web1 # a\n2001:db8::1 web1", "10.0.0.0 0xff000000", "FAILURE_DETECTION_TIME=0x1000")
	f.Add("web1 netmask 255.0.0.0 group \"\" group g \\\n down", "group [", "-failover", "", "", "TRACK_INTERFACES_ONLY_WITH_GROUPS=no")
	f.Fuzz(func(t *testing.T, first, second, six, hosts, masks, mpathd string) {
		files := map[string]string{"etc/hostname.hme0": first, "etc/hostname.hme1": second, "etc/hostname6.hme1": six,
			"etc/hosts": hosts, "etc/netmasks": masks, "etc/default/mpathd": mpathd}
		cfg, text, warnings, err := solaris(solarisFiles(files), "/r")
		for _, w := range warnings {
			require.NotContains(t, w.String(), "\n")
		}
		if err != nil {
			require.Nil(t, cfg)
			checkSolarisError(t, files, err)
			return
		}
		again, err := Parse("again", text)
		require.NoError(t, err, "%s", text)
		require.Equal(t, again.Groups, cfg.Groups)
		for i := range cfg.Groups {
			checkParsed(t, &cfg.Groups[i])
		}
	})
}

func checkSolarisError(t *testing.T, files map[string]string, err error) {
	t.Helper()
	var e *Error
	require.True(t, errors.As(err, &e), "%T", err)
	require.NotEmpty(t, e.Cause)
	require.NotEmpty(t, e.Advice)
	require.NotContains(t, e.Error(), "\n")
	if e.File == "/r/etc/hostname.*" {
		require.Contains(t, e.Cause, "no interface is in a group")
		return
	}
	text, ok := files[strings.TrimPrefix(e.File, "/r/")]
	require.True(t, ok, "%s is none of the files", e.File)
	require.Zero(t, e.Column)
	require.GreaterOrEqual(t, e.Line, 1)
	require.LessOrEqual(t, e.Line, 1+bytes.Count([]byte(text), []byte("\n")))
}

// TestSolarisProperty writes down random groups as Solaris files, in any of the ways in which that
// can be done, and gets them back.
func TestSolarisProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := solarisDrawer{t: t, files: map[string]string{"etc/hosts": "127.0.0.1 localhost\n",
			"etc/netmasks": "192.0.2.0 255.255.255.0\n", "etc/hostname.hme0": "-", "etc/hostname.hme1": "-"}}
		want := groupDefaults("g", Pos{})
		members := rapid.IntRange(1, 5).Draw(t, "members")
		tested := false
		for i := range members {
			m := Interface{Name: fmt.Sprintf("net%d", i), Standby: i > 0 && rapid.Bool().Draw(t, "standby")}
			d.member(&m, &want.Addresses)
			tested = tested || m.Test != nil
			want.Interfaces = append(want.Interfaces, m)
		}
		if !tested {
			want.Probe = ProbeLink
		}
		fillDefaults(&want, false)
		cfg, _, warnings, err := solaris(solarisFiles(d.files), "/r")
		require.NoError(t, err, "%v", d.files)
		require.Empty(t, warnings)
		require.Len(t, cfg.Groups, 1)
		require.Equal(t, want, bare(cfg.Groups[0]), "%v", d.files)
	})
}

type solarisDrawer struct {
	t     *rapid.T
	files map[string]string
	last  byte // of the newest address
}

// member writes the files of one, and says what it is.
func (d *solarisDrawer) member(m *Interface, addresses *[]Address) {
	var calls []string
	flags := []string{"group g"}
	if m.Standby {
		flags = append(flags, "standby")
	}
	tests := rapid.IntRange(0, 2).Draw(d.t, "tests")
	data := 0
	if !m.Standby {
		data = rapid.IntRange(0, 2).Draw(d.t, "data")
	}
	kinds := make([]bool, 0, tests+data) // true: a test address
	for range tests {
		kinds = append(kinds, true)
	}
	for range data {
		kinds = append(kinds, false)
	}
	kinds = rapid.Permutation(kinds).Draw(d.t, "order")
	oneLine := rapid.Bool().Draw(d.t, "one line")
	for i, test := range kinds {
		name, p := d.address()
		words := []string{"up"}
		if test {
			m.Test = append(m.Test, p)
			words = append(words, "-failover", rapid.SampledFrom([]string{"deprecated", "-deprecated", "failover -failover"}).Draw(d.t, "kind"))
		} else {
			*addresses = append(*addresses, Address{Prefix: p, Home: m.Name})
			words = append(words, rapid.SampledFrom([]string{"failover", "-failover failover", "down up"}).Draw(d.t, "kind"))
		}
		words = append(words, rapid.SampledFrom([]string{"netmask +", "netmask 255.255.255.0 broadcast +", "netmask 0xFFFFFF00"}).Draw(d.t, "mask"))
		words = rapid.Permutation(words).Draw(d.t, "words")
		if i == 0 {
			words = append(rapid.Permutation(flags).Draw(d.t, "flags"), words...)
			words = append([]string{name}, words...)
		} else {
			words = append([]string{"addif", name}, words...)
		}
		calls = append(calls, strings.Join(words, " "))
	}
	if len(calls) == 0 {
		calls = append(calls, strings.Join(flags, " "))
	}
	separator := "\n"
	if oneLine {
		separator = rapid.SampledFrom([]string{" ", " \\\n"}).Draw(d.t, "separator")
	}
	d.files["etc/hostname."+m.Name] = strings.Join(calls, separator) + "\n"
}

// address that is new, as itself or as a host.
func (d *solarisDrawer) address() (string, netip.Prefix) {
	d.last++
	a := netip.AddrFrom4([4]byte{192, 0, 2, 9 + d.last})
	p := netip.PrefixFrom(a, 24)
	if rapid.Bool().Draw(d.t, "host") {
		name := fmt.Sprintf("host%d", d.last)
		d.files["etc/hosts"] += fmt.Sprintf("%s\t%s.example %s # one\n", a, name, strings.ToUpper(name))
		return name, p
	}
	return a.String(), p
}
