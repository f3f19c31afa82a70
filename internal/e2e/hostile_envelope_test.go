package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
	"hozen/internal/e2e/rig"
	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
	"hozen/internal/id"
	"hozen/internal/pki"
)

// A file of the format age (C2SP age.md) is a header, a nonce, and chunks.
const (
	ageNonce = 16
	ageChunk = 64<<10 + 16 // of 64 KiB
)

// waiting is an acquisition that waits encrypted for the collector, with one part of several
// chunks.
type waiting struct {
	*system
	by        member
	dir       string
	clear     []byte // of the part
	file      []byte // as it lies on the disk
	head      int    // header and nonce
	recipient envelope.Recipient
}

// damage is what somebody with the disk of an endpoint does to a waiting acquisition.
type damage struct {
	name string
	do   func(w *waiting)
	want string // of the refusal; empty: nothing good was harmed, and it is taken
}

// damages are those that are tried.
func damages(t *testing.T) []damage {
	const mismatch, malformed, otherKey = `^digest_mismatch: artifacts/process.jsonl.zst: `, `^malformed: artifacts/process.jsonl.zst: `, `^other_key: artifacts/process.jsonl.zst: `
	file := func(name, want string, edit func(w *waiting) []byte) damage {
		return damage{name, func(w *waiting) { overwrite(t, w.path(), edit(w)) }, want}
	}
	flip := func(name, want string, at func(w *waiting) int) damage {
		return file(name, want, func(w *waiting) []byte { b := bytes.Clone(w.file); b[at(w)] ^= 1; return b })
	}
	chunk := func(w *waiting, n int) []byte {
		from := w.head + n*ageChunk
		return w.file[from:min(len(w.file), from+ageChunk)]
	}
	return []damage{
		file("nothing is left of it", malformed, func(*waiting) []byte { return nil }),
		file("the header is cut off", malformed, func(w *waiting) []byte { return w.file[:w.head/2] }),
		file("the header is of another version", malformed, func(w *waiting) []byte {
			return bytes.Replace(w.file, []byte("age-encryption.org/v1\n"), []byte("age-encryption.org/v9\n"), 1)
		}),
		flip("the header's proof is changed", malformed, func(w *waiting) int { return bytes.Index(w.file, []byte("\n--- ")) + 15 }),
		flip("the wrapped key is changed", otherKey, func(w *waiting) int { return bytes.Index(w.file, []byte("\n--- ")) - 20 }),
		flip("the nonce is changed", mismatch, func(w *waiting) int { return w.head - 1 }),
		flip("a byte of the first chunk", mismatch, func(w *waiting) int { return w.head + 3 }),
		flip("a byte in the middle", mismatch, func(w *waiting) int { return w.head + ageChunk + 1000 }),
		flip("the last byte", mismatch, func(w *waiting) int { return len(w.file) - 1 }),
		file("two chunks are exchanged", mismatch, func(w *waiting) []byte {
			return slices.Concat(w.file[:w.head], chunk(w, 1), chunk(w, 0), w.file[w.head+2*ageChunk:])
		}),
		file("a chunk is left out", mismatch, func(w *waiting) []byte {
			return slices.Concat(w.file[:w.head], chunk(w, 0), w.file[w.head+2*ageChunk:])
		}),
		file("a chunk is there twice", mismatch, func(w *waiting) []byte {
			return slices.Concat(w.file[:w.head], chunk(w, 0), chunk(w, 0), w.file[w.head+ageChunk:])
		}),
		file("cut off in a chunk", mismatch, func(w *waiting) []byte { return w.file[:w.head+ageChunk+1000] }),
		file("cut off between chunks", mismatch, func(w *waiting) []byte { return w.file[:w.head+2*ageChunk] }),
		file("something follows", mismatch, func(w *waiting) []byte { return append(bytes.Clone(w.file), "and this"...) }),
		file("another file follows", mismatch, func(w *waiting) []byte { return append(bytes.Clone(w.file), w.file...) }),
		file("the chunks of another file", mismatch, func(w *waiting) []byte {
			other := sealedFor(t, w.clear, w.recipient)
			return slices.Concat(w.file[:w.head], other[len(other)-len(w.file)+w.head:])
		}),
		file("other contents, well encrypted", mismatch, func(w *waiting) []byte {
			return sealedFor(t, slices.Concat(w.clear[:len(w.clear)/2], []byte{0}, w.clear[len(w.clear)/2+1:]), w.recipient)
		}),
		file("not encrypted", malformed, func(w *waiting) []byte { return w.clear }),
		file("encrypted to somebody else", otherKey, func(w *waiting) []byte { return sealedFor(t, w.clear, stranger(t)) }),
		file("encrypted to somebody else too", "", func(w *waiting) []byte { return sealedFor(t, w.clear, stranger(t), w.recipient) }),
		{"the manifest has another digest", func(w *waiting) {
			w.resign(t, w.by, w.dir, func(m map[string]any) {
				artifactOf(t, m)["stored"].(map[string]any)["sha256"] = hex.EncodeToString(sha256Of([]byte("x")))
			})
		}, mismatch},
		{"the manifest has another digest of what is packed", func(w *waiting) {
			w.resign(t, w.by, w.dir, func(m map[string]any) {
				artifactOf(t, m)["plain"].(map[string]any)["sha256"] = hex.EncodeToString(sha256Of([]byte("x")))
			})
		}, `^digest_mismatch: artifacts/process.jsonl.zst: `},
		{"the manifest has another name", func(w *waiting) {
			w.resign(t, w.by, w.dir, func(m map[string]any) { artifactOf(t, m)["name"] = "artifacts/other.jsonl.zst" })
		}, `^(malformed|artifact_missing|artifact_unknown|digest_mismatch): `},
		{"the manifest was changed and not signed", func(w *waiting) {
			change(t, filepath.Join(w.dir, artifact.ManifestFile), func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"profile":"`), []byte(`"profile":"x`), 1)
			})
		}, `^bad_signature: `},
		{"written by another user, who has no key", func(w *waiting) {
			ca, err := pki.NewCA("Hozen", time.Now())
			must(t, err)
			theirs := w.by
			theirs.key, err = pki.NewKey()
			must(t, err)
			w.resign(t, theirs, w.dir, func(map[string]any) {})
			cert, _, err := ca.IssueAgent(w.by.EndpointID, theirs.key.Public(), time.Now())
			must(t, err)
			overwrite(t, filepath.Join(w.dir, artifact.CertFile), pki.CertificatePEM(cert))
			given(t, w.dir)
		}, `^bad_signature: `},
		{"given to another user", func(w *waiting) { given(t, w.dir) }, ""},
		{"the notes beside it are gone", func(w *waiting) { must(t, os.Remove(filepath.Join(w.dir, "parts.jsonl"))) }, ""},
		{"the notes beside it lie", func(w *waiting) {
			overwrite(t, filepath.Join(w.dir, "parts.jsonl"), fmt.Appendf(nil, "{\"name\":\"artifacts/process.jsonl.zst\",\"size\":1,\"sha256\":%q}\n", hex.EncodeToString(sha256Of(nil))))
		}, ""},
		{"nothing", func(*waiting) {}, ""},
	}
}

func (w *waiting) path() string {
	return filepath.Join(w.dir, "artifacts", "process.jsonl.zst"+envelope.Suffix)
}

// TestDamagedEnvelopes changes evidence that waits encrypted on an endpoint in every way that
// somebody with its disk can, and has the shipped agent hand it over to the shipped collector. What
// is not as it was signed is refused with a word that says which part and why, and stays on the
// endpoint; everything else arrives, on the one connection, and orders are carried out meanwhile.
func TestDamagedEnvelopes(t *testing.T) {
	ctx := within(t, 2*patience)
	s := newSystem(t, ctx, options{})
	keys, err := s.collector.EvidenceKeys()
	must(t, err)
	s.await(t, ctx, "the keys that evidence is encrypted to", func() (bool, error) {
		b, err := os.ReadFile(filepath.Join(s.agent.Dir, "organisation.json"))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return bytes.Contains(b, []byte(keys[0].Recipient().String())), err
	})
	must(t, s.collector.Proc.Stop())
	first := s.sealUnsent(t, ctx, 1)[0]
	must(t, s.agent.Proc.Stop())
	me := memberIn(t, s.agent.Dir)
	clear, lines, sum := manyLines(t)

	list := damages(t)
	names := make([]string, len(list))
	for i, d := range list {
		w := &waiting{system: s, by: me, clear: clear, recipient: keys[0].Recipient()}
		names[i] = w.copyOf(t, first, i, lines, sum)
		d.do(w)
	}
	from := size(t, s.agent.Log)
	must(t, s.collector.Serve(ctx))
	must(t, s.agent.Run(ctx))
	s.awaitConnected(t, ctx)
	if cmd := s.order(t, ctx, "acquire", nil); cmd.Status != "done" {
		t.Errorf("an order meanwhile ends as %s: %s", cmd.Status, cmd.Detail)
	}
	wantRefused := 0
	for i, d := range list {
		t.Run(d.name, func(t *testing.T) {
			if d.want == "" {
				s.await(t, ctx, "what is as it was signed", func() (bool, error) {
					list, err := s.collector.Acquisitions(ctx, s.id)
					return slices.ContainsFunc(list, func(a rig.Acquisition) bool { return a.ID == names[i] }), err
				})
				s.verified(t, ctx, names[i])
				return
			}
			wantRefused++
			if got := s.refusal(t, ctx, names[i]); !regexp.MustCompile(d.want).MatchString(got) {
				t.Errorf("refused because of %q, want %q", got, d.want)
			}
			if _, err := os.Stat(filepath.Join(s.agent.Dir, "spool", names[i], artifact.SignatureFile)); err != nil {
				t.Errorf("it did not stay on the endpoint: %v", err)
			}
		})
	}
	s.verified(t, ctx, first)
	st, err := s.agent.Status(ctx)
	must(t, err)
	if !st.Connected || st.Spool.Waiting != 0 || st.Spool.Refused != wantRefused {
		t.Errorf("the agent says %+v; %d were refused", st, wantRefused)
	}
	b, err := os.ReadFile(s.agent.Log)
	must(t, err)
	if n := bytes.Count(b[from:], []byte("collector connected")); n != 1 {
		t.Errorf("the agent connected %d times", n)
	}
	s.refusalsOnRecord(t, ctx, names)
	s.clean(t, ctx)
}

// refusal waits until the agent knows that its evidence is refused, and returns why.
func (s *system) refusal(t *testing.T, ctx context.Context, acquisition string) string {
	t.Helper()
	var v struct{ Reason string }
	s.await(t, ctx, "the refusal", func() (bool, error) {
		b, err := os.ReadFile(filepath.Join(s.agent.Dir, "spool", acquisition, "refused.json"))
		return err == nil && json.Unmarshal(b, &v) == nil, err
	})
	return v.Reason
}

// refusalsOnRecord fails the test unless the ledger says of the first ten refusals of a minute
// which acquisition and part they were about, and why: no more of one endpoint are recorded one by one.
func (s *system) refusalsOnRecord(t *testing.T, ctx context.Context, names []string) {
	t.Helper()
	recorded := 0
	for _, name := range names {
		var list []struct {
			Act     string            `json:"act"`
			Details map[string]string `json:"details"`
		}
		must(t, s.collector.Glass().Call(ctx, "ledger.list", map[string]any{"subject": name}, &list))
		for _, e := range list {
			if e.Act != "evidence.refuse" {
				continue
			}
			if recorded++; e.Details["code"] == "" || e.Details["detail"] == "" || e.Details["code"] != "bad_signature" && e.Details["part"] == "" {
				t.Errorf("the ledger says of %s %v", name, e.Details)
			}
		}
	}
	if recorded < 10 {
		t.Errorf("%d refusals are in the ledger", recorded)
	}
}

// copyOf makes another acquisition of one that is sealed, by the same endpoint, whose list of
// processes has those lines; it returns its name.
func (w *waiting) copyOf(t *testing.T, of string, n, lines int, plain artifact.Content) string {
	t.Helper()
	name := id.New(id.Acquisition)
	spool := filepath.Join(w.agent.Dir, "spool")
	w.dir = filepath.Join(spool, name)
	must(t, os.CopyFS(w.dir, os.DirFS(filepath.Join(spool, of))))
	change(t, filepath.Join(w.dir, "acquisition.json"), func(b []byte) []byte {
		var head map[string]any
		decode(t, b, &head)
		head["acquisition_id"], head["sequence"] = name, 1000+n
		b, err := json.Marshal(head)
		must(t, err)
		return b
	})
	w.file = sealedFor(t, w.clear, w.recipient)
	w.head = bytes.Index(w.file, []byte("\n--- ")) + 1
	w.head += bytes.IndexByte(w.file[w.head:], '\n') + 1 + ageNonce
	if len(w.file) < w.head+3*ageChunk {
		t.Fatalf("a file of %d bytes has too few chunks", len(w.file))
	}
	overwrite(t, w.path(), w.file)
	w.resign(t, w.by, w.dir, func(m map[string]any) {
		m["acquisition_id"] = name
		a := artifactOf(t, m)
		a["records"], a["plain"], a["stored"] = lines, plain, artifact.Content{SHA256: hex.EncodeToString(sha256Of(w.clear)), Size: int64(len(w.clear))}
		for _, p := range m["probes"].([]any) {
			if p := p.(map[string]any); p["kind"] == string(artifact.KindProcess) {
				p["records"] = lines
			}
		}
	})
	return name
}

// artifactOf is the entry of the list of processes in a manifest.
func artifactOf(t *testing.T, m map[string]any) map[string]any {
	t.Helper()
	list, _ := m["artifacts"].([]any)
	for _, a := range list {
		if a, ok := a.(map[string]any); ok && a["kind"] == string(artifact.KindProcess) {
			return a
		}
	}
	t.Fatal("the manifest has no list of processes")
	return nil
}

// manyLines are lines of an artifact that stay long when they are packed, and what they are
// before that.
func manyLines(t *testing.T) (packed []byte, lines int, plain artifact.Content) {
	t.Helper()
	source, b := rand.NewChaCha8([32]byte{1}), make([]byte, 500)
	var text strings.Builder
	for ; text.Len() < 600<<10; lines++ {
		_, _ = source.Read(b)
		fmt.Fprintf(&text, "{\"pid\":%d,\"comm\":%q}\n", lines, hex.EncodeToString(b))
	}
	z, err := zstd.NewWriter(nil)
	must(t, err)
	return z.EncodeAll([]byte(text.String()), nil), lines, artifact.Content{SHA256: hex.EncodeToString(sha256Of([]byte(text.String()))), Size: int64(text.Len())}
}

func sealedFor(t *testing.T, clear []byte, to ...envelope.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := envelope.Seal(&b, to...)
	must(t, err)
	_, err = w.Write(clear)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

func stranger(t *testing.T) envelope.Recipient {
	t.Helper()
	key, err := unseal.New()
	must(t, err)
	return key.Recipient()
}

// given gives a folder to an account without rights; only root can.
func given(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	}))
}
