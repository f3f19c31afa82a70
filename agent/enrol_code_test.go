package main

import (
	"context"
	"strings"
	"testing"
)

// TestEnrolCodeIsShown: a code is announced once, in both languages, met by who signs in
// while it waits, and called over afterwards; where there are no screens nothing is.
func TestEnrolCodeIsShown(t *testing.T) {
	var shown, met, said []string
	c := &enrolCode{
		announce: func(_ context.Context, text string, _ bool) { shown = append(shown, text) },
		greet:    func(_ context.Context, text string, _ bool) int { met = append(met, text); return 1 },
		say:      func(_ context.Context, text string) { said = append(said, text) },
	}
	c.meet(t.Context())
	c.over(t.Context(), true)
	if len(shown)+len(met)+len(said) != 0 {
		t.Fatalf("no code waits: %q %q %q", shown, met, said)
	}
	c.waits(t.Context(), "4F7K-92QM")
	c.waits(t.Context(), "4F7K-92QM")
	c.meet(t.Context())
	if len(shown) != 1 || len(met) != 1 || shown[0] != met[0] {
		t.Fatalf("announced %q, met %q", shown, met)
	}
	title, body := titled(shown[0])
	if !strings.Contains(title, "4F7K-92QM") || !strings.Contains(title, "確認コード") || strings.Contains(shown[0], "\n\n") || !strings.Contains(body, "Code: 4F7K-92QM") {
		t.Errorf("%q, %q", title, body)
	}
	c.waits(t.Context(), "AAAA-BBBB")
	if len(shown) != 2 || !strings.Contains(shown[1], "AAAA-BBBB") {
		t.Errorf("another code: %q", shown)
	}
	for enrolled, word := range map[bool]string{true: "登録されました", false: "登録されませんでした"} {
		said = nil
		c.waits(t.Context(), "4F7K-92QM")
		c.over(t.Context(), enrolled)
		c.over(t.Context(), enrolled)
		c.meet(t.Context())
		if len(said) != 1 || !strings.Contains(said[0], word) || len(met) != 1 {
			t.Errorf("enrolled %t: %q, met %d", enrolled, said, len(met))
		}
	}
	none := newEnrolCode(nil, "linux")
	none.waits(t.Context(), "4F7K-92QM")
	none.meet(t.Context())
	none.over(t.Context(), true)
}
