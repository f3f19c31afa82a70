package unseal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
)

func TestIdentityFilesAreRead(t *testing.T) {
	a, err := unseal.New()
	if err != nil {
		t.Fatal(err)
	}
	b, err := unseal.New()
	if err != nil {
		t.Fatal(err)
	}
	got, err := unseal.Read(strings.NewReader("# made: now\r\n\r\n" + a.Text() + "\r\n  " + strings.ToLower(b.Text())))
	if err != nil || len(got) != 2 || got[0].Text() != a.Text() || got[1].Recipient().String() != b.Recipient().String() {
		t.Errorf("%d keys, %v", len(got), err)
	}
	for _, bad := range []string{"", "# only words\n", a.Text()[:40] + "\n", a.Text() + "\n" + a.Recipient().String(), "AGE-PLUGIN-X-1QQQ"} {
		_, err := unseal.Read(strings.NewReader(bad))
		if !errors.Is(err, unseal.ErrNoIdentity) {
			t.Errorf("%.20q: %v", bad, err)
		}
		if err != nil && strings.Contains(err.Error(), "SECRET-KEY-1Q") {
			t.Error("the error tells the key")
		}
	}
	for _, said := range []string{fmt.Sprint(a), fmt.Sprintf("%v %+v %#v %s", a, a, a, a), fmt.Sprintf("%v", []unseal.Identity{a})} {
		if strings.Contains(strings.ToUpper(said), "SECRET") || strings.Contains(said, a.Recipient().String()) {
			t.Errorf("a key is told: %s", said)
		}
	}
}

// FuzzOpen reads files of strangers.
func FuzzOpen(f *testing.F) {
	id, err := unseal.New()
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	w, err := envelope.Seal(&b, id.Recipient())
	if err != nil {
		f.Fatal(err)
	}
	if _, err := w.Write([]byte("evidence")); err != nil || w.Close() != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:100])
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := unseal.Open(bytes.NewReader(file), id)
		if err == nil {
			var got []byte
			if got, err = io.ReadAll(r); err == nil && string(got) != "evidence" {
				t.Errorf("a stranger wrote %q", got)
			}
		}
		if err != nil && !errors.Is(err, unseal.ErrDamaged) && !errors.Is(err, unseal.ErrOtherKey) {
			t.Errorf("an error of another kind: %v", err)
		}
		if _, _, aerr := unseal.OpenAt(bytes.NewReader(file), int64(len(file)), id); err == nil && aerr != nil {
			t.Errorf("read from its beginning, but not anywhere: %v", aerr)
		}
	})
}
