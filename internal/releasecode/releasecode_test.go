package releasecode_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hozen/internal/releasecode"
)

// The code of a number never changes: it stands on paper and outlives collectors.
func TestCodeIsStable(t *testing.T) {
	k, err := releasecode.ParseKey("0000-0000-0000-0000-0000-0000-0000-006P")
	if err != nil {
		t.Log(releasecode.Key{}.Text())
		t.Fatal(err)
	}
	if got := releasecode.New(k, "123456789012").String(); got != "33776-63490-97904-09600" {
		t.Errorf("code %s", got)
	}
}

func TestCheckFindsTheGroup(t *testing.T) {
	code := releasecode.New(releasecode.NewKey(), "000000000001")
	spoken := code.String()
	for _, s := range []string{spoken, string(code), " " + strings.ReplaceAll(spoken, "-", "　") + " ", full(spoken)} {
		if got, err := releasecode.Check(s); err != nil || got != code {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for i := range len(code) {
		for d := byte('0'); d <= '9'; d++ {
			if d == code[i] {
				continue
			}
			wrong := string(code[:i]) + string(d) + string(code[i+1:])
			var g *releasecode.GroupError
			if _, err := releasecode.Check(wrong); !errors.As(err, &g) || g.Group != i/releasecode.GroupLen+1 {
				t.Fatalf("digit %d: %v", i, err)
			}
		}
	}
	for i := 0; i+1 < len(code); i++ {
		if code[i] == code[i+1] || (i+1)%releasecode.GroupLen == 0 {
			continue
		}
		swapped := string(code[:i]) + string(code[i+1]) + string(code[i]) + string(code[i+2:])
		if _, err := releasecode.Check(swapped); err == nil {
			t.Errorf("swap at %d is not noticed", i)
		}
	}
	// Two groups in each other's place.
	g := strings.Split(spoken, "-")
	if g[0] != g[1] {
		if _, err := releasecode.Check(g[1] + g[0] + g[2] + g[3]); err == nil {
			t.Error("swapped groups are not noticed")
		}
	}
	for s, want := range map[string]error{"": releasecode.ErrLength, spoken[:10]: releasecode.ErrLength, "abc": releasecode.ErrDigits, strings.Repeat("1", 300): releasecode.ErrLength} {
		if _, err := releasecode.Check(s); !errors.Is(err, want) {
			t.Errorf("%.20q: %v", s, err)
		}
	}
}

func full(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' {
			return 'ー'
		}
		return '０' + r - '0'
	}, s)
}

func TestVerify(t *testing.T) {
	a, b := releasecode.New(releasecode.NewKey(), "000000000001"), releasecode.New(releasecode.NewKey(), "000000000001")
	salt := releasecode.NewSalt()
	h, err := releasecode.Hash(a, salt, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code       releasecode.Code
		hash, salt []byte
		iterations int
		want       bool
	}{
		{a, h, salt, 1000, true}, {b, h, salt, 1000, false}, {a, h, salt, 1001, false}, {a, h[:31], salt, 1000, false},
		{a, nil, salt, 1000, false}, {a, h, releasecode.NewSalt(), 1000, false}, {a, h, salt, 0, false},
	} {
		if got := releasecode.Verify(c.code, c.hash, c.salt, c.iterations); got != c.want {
			t.Errorf("%v with %d iterations, %d bytes: %v", c.code == a, c.iterations, len(c.hash), got)
		}
	}
}

func TestKeyIsTyped(t *testing.T) {
	k := releasecode.NewKey()
	text := k.Text()
	for _, s := range []string{text, strings.ToLower(text), strings.ReplaceAll(text, "-", " ")} {
		if got, err := releasecode.ParseKey(s); err != nil || got != k {
			t.Errorf("%v", err)
		}
	}
	if _, err := releasecode.ParseKey(text[:len(text)-1]); err == nil {
		t.Error("a short key passed")
	}
	if s := fmt.Sprintf("%v %s %#v", k, k, k); strings.Contains(s, text[:4]) || strings.Count(s, "recovery key") != 3 {
		t.Errorf("printed as %s", s)
	}
	missed := 0
	for i := range len(text) {
		if text[i] == '-' {
			continue
		}
		wrong := []byte(text)
		wrong[i] = "01"[b2i(text[i] == '0')]
		if _, err := releasecode.ParseKey(string(wrong)); err == nil {
			missed++
		}
	}
	if missed > 2 { // one in 256 passes a check of eight bits
		t.Errorf("%d of 32 slips pass", missed)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func FuzzCheck(f *testing.F) {
	f.Add("12345-12345-12345-12345")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := releasecode.Check(s)
		if err != nil {
			return
		}
		if again, err := releasecode.Check(c.String()); err != nil || again != c {
			t.Errorf("%q: %v", c, err)
		}
	})
}
