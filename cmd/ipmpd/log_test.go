// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLog(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	log := newLogger(&out, &level, true)
	log.Debug("not at this level")
	level.Set(slog.LevelDebug)
	log.Debug("d", "time", "kept?")
	log.Info("i", "group", "unrealgrp1")
	log.Warn("w\nsecond line")
	log.With("a", 1).Error("e")
	require.Equal(t, "<7>level=DEBUG msg=d time=kept?\n<6>level=INFO msg=i group=unrealgrp1\n"+
		"<4>level=WARN msg=\"w\\nsecond line\"\n<3>level=ERROR msg=e a=1\n", out.String())

	out.Reset()
	newLogger(&out, slog.LevelInfo, false).Warn("w", "n", 1)
	require.Regexp(t, `^time=\S+ level=WARN msg=w n=1\n$`, out.String())
}
