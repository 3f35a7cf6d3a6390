// SPDX-License-Identifier: Apache-2.0

package house

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ipmpd/ipmpd/pkg/control"
)

func TestJSONFields(t *testing.T) {
	section := contract(t, "4")
	examples := blocks(section, "json")
	require.Len(t, examples, 2)

	for i, r := range []struct {
		name string
		wire reflect.Type
	}{
		{"status", reflect.TypeFor[control.Status]()},
		{"history", reflect.TypeFor[control.HistoryEntry]()},
	} {
		var example any
		require.NoError(t, json.Unmarshal([]byte(examples[i]), &example))
		compare(t, r.name, exampleFields("", example), typeFields("", r.wire))
	}

	// One event a line: its fields stand without values, and `gap` has one more.
	m := regexp.MustCompile("`\\{((?:\"[a-z]+\",?)+)\\}`").FindStringSubmatch(section)
	require.NotNil(t, m, "section 4 does not show the fields of an event")
	fields := strings.Split(strings.ReplaceAll(m[1], `"`, ""), ",")
	for _, also := range regexp.MustCompile("also has `([a-z_]+)`").FindAllStringSubmatch(section, -1) {
		fields = append(fields, also[1])
	}
	slices.Sort(fields)
	compare(t, "event", fields, typeFields("", reflect.TypeFor[control.Event]()))
}

func compare(t *testing.T, what string, documented, coded []string) {
	t.Helper()
	for _, f := range documented {
		require.Contains(t, coded, f, "%s: pkg/control lacks a field of docs/contract.md", what)
	}
	for _, f := range coded {
		require.Contains(t, documented, f, "%s: docs/contract.md lacks a field of pkg/control", what)
	}
}

// exampleFields lists the dotted fields of decoded JSON; elements of lists have their list's name,
// and the two families are one.
func exampleFields(prefix string, v any) []string {
	var fields []string
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if name == "ipv4" || name == "ipv6" {
				name = "FAMILY"
			}
			fields = append(fields, prefix+name)
			fields = append(fields, exampleFields(prefix+name+".", value)...)
		}
	case []any:
		for _, value := range v {
			fields = append(fields, exampleFields(prefix, value)...)
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// typeFields lists the same of a Go type. `monitor` has the form of `interfaces`, which the
// contract says in words, so only its name counts.
func typeFields(prefix string, t reflect.Type) []string {
	var fields []string
	switch {
	case prefix == "monitor." || t == reflect.TypeFor[time.Time]():
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice:
		return typeFields(prefix, t.Elem())
	case t.Kind() == reflect.Map:
		fields = append(fields, prefix+"FAMILY")
		fields = append(fields, typeFields(prefix+"FAMILY.", t.Elem())...)
	case t.Kind() == reflect.Struct:
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" || name == "" && !f.Anonymous {
				continue
			}
			if name == "" { // embedded: its fields stand here
				fields = append(fields, typeFields(prefix, f.Type)...)
				continue
			}
			fields = append(fields, prefix+name)
			fields = append(fields, typeFields(prefix+name+".", f.Type)...)
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// The words of the contract are the words of the code.
func TestEventNames(t *testing.T) {
	m := regexp.MustCompile("events `([a-z -]+)`").FindStringSubmatch(contract(t, "4"))
	require.NotNil(t, m)
	require.ElementsMatch(t, strings.Fields(m[1]), []string{control.EventGroupState, control.EventInterfaceState,
		control.EventAddressMoved, control.EventVerdict, control.EventDetectionTimeAdapted, control.EventConfigReloaded,
		control.EventTargetChanged, control.EventTargetPoliced, control.EventAddressDuplicate, control.EventDriftRepaired,
		control.EventStepFailed, control.EventGap})
}
