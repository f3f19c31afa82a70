package enroll_test

import (
	"regexp"
	"testing"
	"time"

	"hozen/collector/internal/enroll"
)

func TestNewCode(t *testing.T) {
	form := regexp.MustCompile(`^[2-9A-HJKMNP-TV-Z]{4}-[2-9A-HJKMNP-TV-Z]{4}$`)
	seen, letters := map[string]bool{}, map[rune]int{}
	for range 3000 {
		c := enroll.NewCode()
		if !form.MatchString(c) || seen[c] {
			t.Fatalf("%q", c)
		}
		seen[c] = true
		for _, r := range c {
			letters[r]++
		}
	}
	if len(letters) != 31 { // 30 and the hyphen
		t.Errorf("%d characters are in use: %v", len(letters), letters)
	}
	for r, n := range letters {
		if r != '-' && (n < 600 || n > 1000) { // 800 expected
			t.Errorf("%q is drawn %d times", r, n)
		}
	}
}

func TestWhyATokenIsNoGood(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	good := enroll.Token{ExpiresAt: now.Add(time.Hour)}
	for want, mend := range map[string]func(*enroll.Token){
		"": func(*enroll.Token) {}, "revoked": func(k *enroll.Token) { k.RevokedAt = now },
		"expired": func(k *enroll.Token) { k.ExpiresAt = now }, "used_up": func(k *enroll.Token) { k.Uses = 1 },
	} {
		k := good
		mend(&k)
		if got := k.Why(now); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRenewableFromAThirdOfLife(t *testing.T) {
	issued := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := enroll.Certificate{IssuedAt: issued, NotAfter: issued.Add(90 * 24 * time.Hour)}
	third := issued.Add(30 * 24 * time.Hour)
	if c.Renewable(third.Add(-time.Nanosecond)) || !c.Renewable(third) || !c.Renewable(third.Add(1e6*time.Hour)) {
		t.Error("not exactly from a third on")
	}
}
