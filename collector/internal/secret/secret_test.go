package secret_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/collector/internal/secret"
)

func TestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	k, err := secret.File(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	sealed, err := k.Seal("factor opr_1", []byte("geheim"))
	if err != nil || strings.Contains(sealed, "geheim") {
		t.Fatal(sealed, err)
	}
	again, err := secret.File(path)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := again.Open("factor opr_1", sealed); err != nil || string(b) != "geheim" {
		t.Errorf("%q, %v", b, err)
	}
	if second, _ := k.Seal("factor opr_1", []byte("geheim")); second == sealed {
		t.Error("the same secret looks the same")
	}
	other, err := secret.NewKey(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another thing": func() ([]byte, error) { return k.Open("factor opr_2", sealed) },
		"another key":   func() ([]byte, error) { return other.Open("factor opr_1", sealed) },
		"changed":       func() ([]byte, error) { return k.Open("factor opr_1", sealed[:len(sealed)-2]+"AA") },
		"nothing":       func() ([]byte, error) { return k.Open("factor opr_1", "") },
		"clear":         func() ([]byte, error) { return k.Open("factor opr_1", "geheim") },
	} {
		if b, err := open(); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := (secret.Key{}).Seal("x", nil); err == nil {
		t.Error("no key sealed")
	}
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.File(path); err == nil {
		t.Error("a damaged file was taken or replaced")
	}
}

func TestKeysOfPurposes(t *testing.T) {
	k, err := secret.NewKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.For("sessions").Seal("x", []byte("geheim"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := k.For("sessions").Open("x", sealed); err != nil || string(b) != "geheim" {
		t.Errorf("%q, %v", b, err)
	}
	if m := k.For("sessions").MAC([]byte("x")); len(m) != 32 || bytes.Equal(m, k.MAC([]byte("x"))) || bytes.Equal(m, k.For("sessions").MAC([]byte("y"))) || (secret.Key{}).MAC(nil) != nil {
		t.Errorf("MAC %x", m)
	}
	for name, other := range map[string]secret.Key{"its own": k, "another purpose's": k.For("links"), "none": secret.Key{}.For("sessions")} {
		if b, err := other.Open("x", sealed); err == nil {
			t.Errorf("%s opened it: %q", name, b)
		}
	}
}

func FuzzOpen(f *testing.F) {
	k, err := secret.NewKey(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("s1:")
	f.Add("s1:AAAA")
	f.Fuzz(func(t *testing.T, sealed string) {
		if _, err := k.Open("x", sealed); err == nil {
			t.Error("opened what nobody sealed")
		}
	})
}
