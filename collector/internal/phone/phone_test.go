package phone_test

import (
	"testing"
	"time"

	"hozen/collector/internal/phone"
)

func TestImageType(t *testing.T) {
	for head, want := range map[string]string{
		"\xff\xd8\xff\xe0\x00\x10JFIF": "image/jpeg", "\xff\xd8\xff\xe1..Exif": "image/jpeg", "\x89PNG\r\n\x1a\n\x00": "image/png",
		"RIFF\x00\x00\x00\x00WEBPVP8 ": "image/webp", "\x00\x00\x00\x18ftypheic\x00\x00": "image/heic", "\x00\x00\x00\x18ftypmif1": "image/heic", "\x00\x00\x00\x18ftypavif": "image/avif",
		"": "", "\xff\xd8": "", "<html>": "", "GIF89a": "", "%PDF-1.7": "", "MZ\x90": "", "PK\x03\x04": "", "<svg xmlns=": "", "\x00\x00\x00\x18ftypisom": "", "RIFF\x00\x00\x00\x00WAVE": "", "\x00\x00\x00\x18ftyp": "",
	} {
		if got := phone.ImageType([]byte(head)); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}

func FuzzImageType(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x18ftypheic"))
	f.Add([]byte("RIFF\x00\x00\x00\x00WEBP"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := phone.ImageType(b); got != "" && len(b) < 3 {
			t.Errorf("%q from %d bytes", got, len(b))
		}
	})
}

func TestPlace(t *testing.T) {
	for remote, want := range map[string]string{"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "local": "local"} {
		if got := phone.Place(remote); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

func TestTokensAndLives(t *testing.T) {
	a, b := phone.NewToken(), phone.NewToken()
	if a == b || len(a) < 26 || phone.HashToken(a) == phone.HashToken(b) || phone.HashToken(a) == a {
		t.Errorf("%q %q", a, b)
	}
	for _, k := range []phone.Kind{phone.Reports, phone.Photos} {
		if !k.Valid() || !k.May(k.Lives()[0]) || k.May(0) || k.May(10*366*24*time.Hour) {
			t.Errorf("%s", k)
		}
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		l    phone.Link
		good bool
	}{{phone.Link{ExpiresAt: now.Add(time.Second)}, true}, {phone.Link{ExpiresAt: now}, false}, {phone.Link{ExpiresAt: now.Add(time.Hour), RevokedAt: now.Add(-time.Hour)}, false}} {
		if c.l.Good(now) != c.good {
			t.Errorf("%+v", c.l)
		}
	}
}
