package envelope_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
)

func identity(t testing.TB) unseal.Identity {
	t.Helper()
	id, err := unseal.New()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func sealed(t testing.TB, clear []byte, to ...envelope.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := envelope.Seal(&b, to...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(clear); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatIsSealedIsReadByEachRecipientAndNobodyElse(t *testing.T) {
	a, b, stranger := identity(t), identity(t), identity(t)
	for _, n := range []int{0, 1, 1<<16 - 1, 1 << 16, 1<<16 + 1, 3<<16 + 7} {
		clear := bytes.Repeat([]byte("保全x"), n/7+1)[:n]
		file := sealed(t, clear, a.Recipient(), b.Recipient())
		for _, id := range []unseal.Identity{a, b} {
			r, err := unseal.Open(bytes.NewReader(file), stranger, id)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, clear) {
				t.Errorf("%d bytes came back as %d: %v", n, len(got), err)
			}
			at, size, err := unseal.OpenAt(bytes.NewReader(file), int64(len(file)), id)
			if err != nil || size != int64(n) {
				t.Fatalf("size %d, %v", size, err)
			}
			if got, err := io.ReadAll(io.NewSectionReader(at, size/2, size)); err != nil || !bytes.Equal(got, clear[n/2:]) {
				t.Errorf("the second half of %d bytes came back as %d: %v", n, len(got), err)
			}
		}
		if _, err := unseal.Open(bytes.NewReader(file), stranger); !errors.Is(err, unseal.ErrOtherKey) {
			t.Errorf("a stranger: %v", err)
		}
		if _, err := unseal.Open(bytes.NewReader(file), unseal.Identity{}); err == nil {
			t.Error("nobody opened it")
		}
	}
}

// Wherever a byte is changed or the file is cut, it is told, and no changed byte comes out.
func TestChangedFilesAreNotRead(t *testing.T) {
	id := identity(t)
	clear := bytes.Repeat([]byte("0123456789abcdef"), 5000) // more than one chunk
	file := sealed(t, clear, id.Recipient())
	read := func(b []byte) ([]byte, error) {
		r, err := unseal.Open(bytes.NewReader(b), id)
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	}
	for at := 0; at < len(file); at += 1 + at/40 {
		other := bytes.Clone(file)
		other[at] ^= 1
		got, err := read(other)
		if err == nil || !bytes.HasPrefix(clear, got) {
			t.Fatalf("byte %d changed: %d bytes, %v", at, len(got), err)
		}
		if got, err := read(file[:at]); !errors.Is(err, unseal.ErrDamaged) || !bytes.HasPrefix(clear, got) {
			t.Fatalf("cut at %d: %d bytes, %v", at, len(got), err)
		}
		if _, size, err := unseal.OpenAt(bytes.NewReader(file[:at]), int64(at), id); err == nil {
			t.Fatalf("cut at %d: a size of %d", at, size)
		}
	}
	if _, err := read(append(bytes.Clone(file), 'x')); !errors.Is(err, unseal.ErrDamaged) {
		t.Errorf("a byte after the end: %v", err)
	}
}

func TestRecipientsAreRefusedWithTheReason(t *testing.T) {
	id := identity(t)
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{id.Recipient().String(), "  " + id.Recipient().String() + "\r\n", pq.Recipient().String()} {
		r, err := envelope.ParseRecipient(good)
		if err != nil || r.String() != strings.TrimSpace(good) || r.PostQuantum() != (len(good) > 100) {
			t.Errorf("%.20q: %v, %v", good, r, err)
		}
	}
	text := id.Recipient().String()
	for bad, want := range map[string]error{
		"": envelope.ErrMalformed, "age": envelope.ErrMalformed, "a b": envelope.ErrMalformed, text[:len(text)-1]: envelope.ErrMalformed,
		text[:20] + "q" + text[21:]: envelope.ErrMalformed, strings.ToUpper(text[:10]) + text[10:]: envelope.ErrMalformed, text + text: envelope.ErrOtherKind,
		strings.Repeat("age1", 5000): envelope.ErrMalformed,
		id.Text():                    envelope.ErrSecretKey, strings.ToLower(id.Text()): envelope.ErrSecretKey, pq.String(): envelope.ErrSecretKey,
		"AGE-PLUGIN-YUBIKEY-1QQQQ": envelope.ErrSecretKey, "-----BEGIN OPENSSH PRIVATE KEY-----": envelope.ErrSecretKey,
		"ssh-ed25519 AAAA": envelope.ErrOtherKind, "-----BEGIN PGP PUBLIC KEY BLOCK-----": envelope.ErrOtherKind,
		"age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t": envelope.ErrOtherKind,
		"age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5xmhqp":          envelope.ErrMalformed,
	} {
		_, err := envelope.ParseRecipient(bad)
		if !errors.Is(err, want) {
			t.Errorf("%.30q: %v, want %v", bad, err, want)
		}
		if err != nil && len(bad) > 8 && strings.Contains(err.Error(), bad) {
			t.Errorf("the error repeats %q", bad)
		}
	}
	hybrid, err := envelope.ParseRecipient(pq.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.Seal(io.Discard, hybrid, id.Recipient()); !errors.Is(err, envelope.ErrMixed) {
		t.Errorf("mixed: %v", err)
	}
	for _, none := range [][]envelope.Recipient{nil, {{}}} {
		if _, err := envelope.Seal(io.Discard, none...); err == nil {
			t.Error("encrypted to nobody")
		}
	}
	secret, err := unseal.Parse(pq.String())
	if err != nil {
		t.Fatal(err)
	}
	r, err := unseal.Open(bytes.NewReader(sealed(t, []byte("x"), hybrid)), secret)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "x" {
		t.Errorf("post-quantum: %q, %v", b, err)
	}
}

// What this package writes, the age program of the distribution opens, and the other way
// round.
func TestAgeProgramAgrees(t *testing.T) {
	program, err := exec.LookPath("age")
	if err != nil {
		t.Skip("age is not installed")
	}
	id, dir := identity(t), t.TempDir()
	path := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	keys, clear := path("key.txt", []byte("# a comment\n"+id.Text()+"\n")), bytes.Repeat([]byte("evidence\n"), 20_000)
	out, err := exec.Command(program, "-d", "-i", keys, path("x.age", sealed(t, clear, id.Recipient()))).Output()
	if err != nil || !bytes.Equal(out, clear) {
		t.Errorf("age -d: %d bytes of %d, %v", len(out), len(clear), err)
	}
	file, err := exec.Command(program, "-r", id.Recipient().String(), path("x", clear)).Output()
	if err != nil {
		t.Fatal(err)
	}
	r, err := unseal.Open(bytes.NewReader(file), id)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, clear) {
		t.Errorf("what age wrote: %d bytes, %v", len(b), err)
	}
}

func FuzzParseRecipient(f *testing.F) {
	f.Add(identity(f).Recipient().String())
	f.Add("age1pq1")
	f.Add("AGE-SECRET-KEY-1")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := envelope.ParseRecipient(s)
		if err != nil {
			return
		}
		if again, err := envelope.ParseRecipient(r.String()); err != nil || again.String() != r.String() {
			t.Errorf("%q: written and read again: %v", s, err)
		}
		if w, err := envelope.Seal(io.Discard, r); err != nil || w.Close() != nil {
			t.Errorf("%q was taken, and nothing can be encrypted to it: %v", s, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	id, clear := identity(b), make([]byte, 16<<20)
	b.SetBytes(int64(len(clear)))
	for b.Loop() {
		w, err := envelope.Seal(io.Discard, id.Recipient())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(clear); err != nil || w.Close() != nil {
			b.Fatal(err)
		}
	}
}
