package winboot

import (
	"testing"
	"time"
)

func TestFiletime(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want time.Time
	}{
		{[]byte{0x00, 0x80, 0x3e, 0xd5, 0xde, 0xb1, 0x9d, 0x01}, time.Unix(0, 0).UTC()},
		{[]byte{0x80, 0xbe, 0xd7, 0xd5, 0xde, 0xb1, 0x9d, 0x01}, time.Unix(1, 4300800).UTC()},
		{make([]byte, 8), time.Time{}},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, time.Time{}},
		{[]byte{1, 2, 3}, time.Time{}},
		{nil, time.Time{}},
	} {
		if got := filetime(c.b); !got.Equal(c.want) {
			t.Errorf("%x: %s", c.b, got)
		}
	}
}
