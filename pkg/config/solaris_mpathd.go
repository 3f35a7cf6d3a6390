// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// solarisMpathd is etc/default/mpathd; a word with text "" is a key that is not there.
type solarisMpathd struct {
	detectionTime time.Duration
	detection     word // FAILURE_DETECTION_TIME
	failback      bool
	failbackWord  word // FAILBACK
	trackAll      word // TRACK_INTERFACES_ONLY_WITH_GROUPS=no
}

// What in.mpathd takes, and what ipmpd can do.
const (
	minSolarisDetection = 100 * time.Millisecond
	maxSolarisDetection = maxDetectionTime
)

func (r *solarisReader) readMpathd() (solarisMpathd, error) {
	m := solarisMpathd{failback: true}
	const name = "etc/default/mpathd"
	lines, err := r.lines(name, false)
	if err != nil {
		return m, err
	}
	seen := make(map[string]int)
	for _, line := range lines {
		if line[0].text[0] == '#' {
			continue
		}
		// Spaces around the sign are not wrong.
		texts := make([]string, len(line))
		for i, w := range line {
			texts[i] = w.text
		}
		at := line[0]
		at.text = strings.Join(texts, " ")
		key, value, ok := strings.Cut(at.text, "=")
		if !ok {
			return m, at.wrong("write KEY=VALUE", "there is no `=`")
		}
		key, value = strings.ToUpper(strings.TrimSpace(key)), strings.TrimSpace(value)
		if before, ok := seen[key]; ok {
			return m, at.wrong("remove one of the two", "the key is there already, in line %d", before)
		}
		seen[key] = at.line
		if err := m.set(key, value, at); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *solarisMpathd) set(key, value string, at word) error {
	switch key {
	case "FAILURE_DETECTION_TIME":
		ms, ok := cNumber(value)
		limits := fmt.Sprintf("write milliseconds, %d .. %d", minSolarisDetection.Milliseconds(), maxSolarisDetection.Milliseconds())
		if !ok {
			return at.wrong(limits, "%q is no number", value)
		}
		if ms < minSolarisDetection.Milliseconds() || ms > maxSolarisDetection.Milliseconds() {
			return at.wrong(limits, "%s is out of range", value)
		}
		m.detectionTime, m.detection = time.Duration(ms)*time.Millisecond, at
	case "FAILBACK":
		yes, err := yesNo(value, at)
		if err != nil {
			return err
		}
		m.failback, m.failbackWord = yes, at
	case "TRACK_INTERFACES_ONLY_WITH_GROUPS":
		yes, err := yesNo(value, at)
		if err != nil {
			return err
		}
		if !yes {
			m.trackAll = at
		}
	default:
		return at.wrong("its keys are FAILURE_DETECTION_TIME, FAILBACK, TRACK_INTERFACES_ONLY_WITH_GROUPS", "this is no key of mpathd")
	}
	return nil
}

func yesNo(value string, at word) (bool, error) {
	switch strings.ToLower(value) {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return false, at.wrong("write yes or no", "%q is neither yes nor no", value)
}

var cForm = regexp.MustCompile(`^(0|[1-9][0-9]*|0[0-7]+|0[xX][0-9a-fA-F]+)$`)

// cNumber reads a number as strtol with base 0 does, but for what follows it.
func cNumber(s string) (int64, bool) {
	if !cForm.MatchString(s) {
		return 0, false
	}
	v, err := strconv.ParseInt(s, 0, 64)
	return v, err == nil
}
