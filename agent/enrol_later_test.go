package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hozen/internal/pki"
)

func aToken(t *testing.T) pki.Token {
	t.Helper()
	secret, err := pki.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	return pki.Token{Addresses: []string{"127.0.0.1:1"}, CASHA256: "aa" + string(slices.Repeat([]byte("00"), 31)), Secret: secret}
}

func TestATokenIsLeftAndFound(t *testing.T) {
	state := t.TempDir()
	if _, err := leftToken(state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no token was left: %v", err)
	}
	token := preferred(aToken(t), "collector.example.jp:7443")
	if err := leaveToken(state, token); err != nil {
		t.Fatal(err)
	}
	got, err := leftToken(state)
	if err != nil || got.Secret != token.Secret || !slices.Equal(got.Addresses, []string{"collector.example.jp:7443", "127.0.0.1:1"}) {
		t.Errorf("found %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{", `{"token":"hzt1.x"}`} {
		if err := os.WriteFile(filepath.Join(state, laterFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := leftToken(state); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q gave %v", bad, err)
		}
	}
	if err := leaveToken(state, preferred(aToken(t), "no address")); err == nil {
		t.Error("an address that is none was taken")
	}
}

// TestLaterTakesNoWordsOfOthers: what an installer fills in leads to no other option.
func TestLaterTakesNoWordsOfOthers(t *testing.T) {
	for _, c := range []struct {
		args   []string
		fixed  bool
		refuse bool
	}{
		{args: []string{"--later", "--token", "T", "--collector", ""}, fixed: true},
		{args: []string{"--later", "--token-file", `C:\t`, "--collector", "c:1"}, fixed: true},
		{args: []string{"--later", "--token-file", "-", "--state", "/s"}},
		{args: []string{"--token", "T", "--again", "--state", "/s"}, fixed: true},
		{args: []string{"--later", "--token", "--again", "--collector", ""}, fixed: true}, // a bad token, and no option
		{args: []string{"--later", "--token", "EVIL", "--later=false", "--again", "--token", "T", "--collector", "evil:1"}, fixed: true, refuse: true},
		{args: []string{"--later", "--token", "EVIL", "--later=false", "--again", "--token", "T", "--collector", "evil:1"}, refuse: true},
		{args: []string{"--later", "--token", "T", "-state", `C:\x`, "--collector", ""}, fixed: true, refuse: true},
		{args: []string{"--later", "--token", "T", "--state=C", "--collector", ""}, fixed: true, refuse: true},
		{args: []string{"--later", "--token", "T", "--collector", "a:1", "--collector", "b:1"}, fixed: true, refuse: true},
		{args: []string{"--later", "--token", "T", "--again"}, refuse: true},
		{args: []string{"--later", "--token", "T", "word"}, refuse: true},
		{args: []string{"--later=true", "--token", "T"}, refuse: true},
	} {
		if err := checkLater(c.args, c.fixed); (err != nil) != c.refuse {
			t.Errorf("%q, fixed %t: %v", c.args, c.fixed, err)
		}
	}
	state := t.TempDir()
	if code, _, _ := do(t, "", "enroll", "--later", "--token", "EVIL", "--later=false", "--again", "--state", state); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
}
