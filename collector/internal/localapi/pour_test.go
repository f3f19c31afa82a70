package localapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"

	"hozen/collector/internal/act"
)

// What broke off while it was sent is never taken for whole, and the reason arrives.
func TestPouredBytesAreWholeOrSaidNotToBe(t *testing.T) {
	s := &Server{cfg: Config{Log: slog.New(slog.DiscardHandler)}}
	answers := map[string]func(w io.Writer) error{
		"whole": func(w io.Writer) error { _, err := io.WriteString(w, "evidence"); return err },
		"broken": func(w io.Writer) error {
			_, _ = io.WriteString(w, "evid")
			return errors.New("E03「経理」: the stored bytes are others")
		},
		"refused": func(io.Writer) error { return act.ErrForbidden },
	}
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[len("/v1/"):]
		if name == "silent" {
			_, _ = io.WriteString(w, "evidence")
			return
		}
		out := &poured{w: w}
		if err := answers[name](out); err != nil && !out.begun {
			s.fail(r.Context(), w, name, err)
		} else {
			s.end(r.Context(), w, name, err)
		}
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close() })
	c := NewClient(path, "", "")
	pour := func(verb string) (string, error) {
		var b bytes.Buffer
		err := c.Pour(context.Background(), verb, None{}, &b)
		return b.String(), err
	}
	if got, err := pour("whole"); err != nil || got != "evidence" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := pour("broken"); err == nil || err.Error() != "E03「経理」: the stored bytes are others" {
		t.Errorf("%v", err)
	}
	if _, err := pour("refused"); !errors.Is(err, act.ErrForbidden) {
		t.Errorf("%v", err)
	}
	if _, err := pour("silent"); err == nil {
		t.Error("an answer that does not say that it is whole was taken for whole")
	}
	for _, verb := range []string{"export.order", "export.list", "export.show", "export.write"} {
		if _, ok := verbs()[verb]; !ok {
			t.Errorf("there is no verb %s", verb)
		}
	}
}
