package act_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/internal/artifact/record"
)

func lines(t testing.TB, sockets ...record.Socket) string {
	t.Helper()
	var b strings.Builder
	for _, k := range sockets {
		if err := json.NewEncoder(&b).Encode(k); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// What others use of an endpoint is told by its connections, whatever order they come in.
func TestHintsSayWhatBreaks(t *testing.T) {
	sockets := []record.Socket{
		{Proto: "tcp", State: "LISTEN", LocalAddr: "0.0.0.0", LocalPort: 445},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 445, RemoteAddr: "192.0.2.50", RemotePort: 5000},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 445, RemoteAddr: "192.0.2.50", RemotePort: 5001},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 445, RemoteAddr: "::ffff:192.0.2.51", RemotePort: 5001},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 39000, RemoteAddr: "192.0.2.9", RemotePort: 445},
		{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 139},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 139, RemoteAddr: "192.0.2.51", RemotePort: 5001},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 1521, RemoteAddr: "192.0.2.51", RemotePort: 5001},
		{Proto: "tcp", State: "LISTEN", LocalAddr: "127.0.0.1", LocalPort: 5432},
		{Proto: "udp", State: "CLOSE", LocalAddr: "::", LocalPort: 53},
		{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 22},
		{Proto: "unix", Path: "/run/x"}, {Proto: "tcp", State: "LISTEN", LocalAddr: "no address", LocalPort: 25},
	}
	for range 2 {
		text := lines(t, sockets...)
		for _, in := range []string{text, strings.TrimSuffix(text, "\n"), "{\n\n" + strings.Repeat("x", 200_000) + "\n" + text} {
			got, err := act.ReadHints(t.Context(), strings.NewReader(in))
			if err != nil || fmt.Sprint(got) != "[{dns_server 0} {file_server 2}]" {
				t.Errorf("%v, %v", got, err)
			}
		}
		slices.Reverse(sockets)
	}
}

// A PC may write what it likes, and as much: it makes neither the collector big nor its
// preview wait.
func TestHintsAreBounded(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(lines(t, record.Socket{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 445}))
	for n := range 5_000 {
		b.WriteString(lines(t, record.Socket{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 445, RemoteAddr: fmt.Sprintf("10.0.%d.%d", n/256, n%256)}))
	}
	got, err := act.ReadHints(t.Context(), &b)
	if err != nil || fmt.Sprint(got) != "[{file_server 1000}]" {
		t.Errorf("%v, %v", got, err)
	}
	endless := io.MultiReader(strings.NewReader(lines(t, record.Socket{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 445})), same{'\n'})
	if got, err := act.ReadHints(t.Context(), endless); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := act.ReadHints(over, same{'x'}); !errors.Is(err, context.Canceled) {
		t.Errorf("one line without end: %v", err)
	}
	torn := errors.New("torn")
	if _, err := act.ReadHints(t.Context(), io.MultiReader(strings.NewReader("{}\n"), broken{torn})); !errors.Is(err, torn) {
		t.Errorf("evidence that cannot be read: %v", err)
	}
}

// same is one byte without end.
type same [1]byte

func (z same) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = z[0]
	}
	return len(b), nil
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func FuzzReadHints(f *testing.F) {
	f.Add([]byte(lines(f, record.Socket{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 445}, record.Socket{Proto: "udp", LocalAddr: "fe80::1", LocalPort: 53})))
	f.Add([]byte("{}\n[1\n\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := act.ReadHints(t.Context(), bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range got {
			if h.Code == "" || h.Clients < 0 || h.Clients > bytes.Count(b, []byte("\n"))+1 {
				t.Errorf("%+v", h)
			}
		}
	})
}
