package dnscache

import (
	"slices"
	"testing"
	"time"
	"unicode/utf16"
)

func TestNamesOfWindows(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	d := remembered(utf16.Encode([]rune("c2.example")), 1, []winAnswer{{kind: 5, ttl: 300, name: utf16.Encode([]rune("cdn.example"))}, {kind: 1, ttl: 60, data: []byte{203, 0, 113, 9}}}, now)
	if d.Name != "c2.example" || d.Kind != "A" || d.Class != 1 || !slices.Equal(d.Answers, []string{"cdn.example", "203.0.113.9"}) || !d.Until.Equal(now.Add(time.Minute)) {
		t.Errorf("%+v", d)
	}
	if d = remembered([]uint16{'x', 0xd800}, 28, nil, now); d.Kind != "AAAA" || d.NameRaw == nil || !d.Until.IsZero() || d.Answers != nil {
		t.Errorf("%+v", d)
	}
}
