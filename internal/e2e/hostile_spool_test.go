package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/e2e/rig"
	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
	"hozen/internal/id"
	"hozen/internal/pki"
)

func sha256Of(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

// spoolAttacks change files of the spool while the agent is not running, as somebody
// with root on an infected PC can, and returns how many attacks that were. What is
// untouched arrives, what is not is refused by name and recorded, or left where it is
// and told.
func (s *system) spoolAttacks(t *testing.T, ctx context.Context) (attacks int) {
	me := memberIn(t, s.agent.Dir)
	spool := filepath.Join(s.agent.Dir, "spool")
	before, err := s.collector.Acquisitions(ctx, s.id)
	must(t, err)
	must(t, s.collector.Proc.Stop())
	names := s.sealUnsent(t, ctx, 5)
	must(t, s.agent.Proc.Stop())
	flipped, truncated, linked, foreign, good := names[0], names[1], names[2], names[3], names[4]
	at := func(name string, parts ...string) string {
		return filepath.Join(append([]string{spool, name}, parts...)...)
	}
	process := filepath.Join("artifacts", "process.jsonl.zst"+envelope.Suffix)

	s.waitsEncrypted(t, at(good))
	change(t, at(flipped, process), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	change(t, at(truncated, artifact.ManifestFile), func(b []byte) []byte { return b[:len(b)/2] })
	must(t, os.Remove(at(linked, process)))
	must(t, os.Symlink("/etc/passwd", at(linked, process)))
	s.resign(t, me, at(foreign), func(m map[string]any) { m["endpoint_id"] = id.New(id.Endpoint) })
	must(t, os.WriteFile(filepath.Join(spool, "evil.txt"), []byte("x"), 0o600))
	must(t, os.Mkdir(filepath.Join(spool, "acq_"+strings.Repeat("!", 26)), 0o700))
	must(t, os.Symlink("/etc", filepath.Join(spool, id.New(id.Acquisition))))

	from := size(t, s.agent.Log)
	must(t, s.collector.Serve(ctx))
	must(t, s.agent.Run(ctx))
	arrived := func(n int) {
		t.Helper()
		s.await(t, ctx, "untouched evidence", func() (bool, error) {
			list, err := s.collector.Acquisitions(ctx, s.id)
			return len(list) == len(before)+n && slices.ContainsFunc(list, func(a rig.Acquisition) bool { return a.ID == good }), err
		})
	}
	arrived(1)
	s.verified(t, ctx, good)

	for _, a := range []struct{ name, acquisition, want string }{
		{"flipped byte", flipped, `(digest_mismatch|malformed) artifacts/process.jsonl.zst`},
		{"foreign endpoint", foreign, `foreign_endpoint`},
	} {
		attacks++
		t.Run("spool/"+a.name, func(t *testing.T) { s.refusedAndRecorded(t, ctx, a.acquisition, a.want) })
	}
	for _, a := range []struct{ name, want string }{
		{"truncated manifest", truncated + `.*manifest.json is cut off`},
		{"link for a part", linked + `.*process.jsonl.zst.*not a regular file`},
		{"foreign file", `evil.txt.*is not a folder`},
		{"foreign folder", `!!!.*is not named like an acquisition`},
		{"link for a folder", `acq_.*is not a folder`},
	} {
		attacks++
		t.Run("spool/"+a.name, func(t *testing.T) {
			b, err := os.ReadFile(s.agent.Log)
			must(t, err)
			if !regexp.MustCompile("spool holds something foreign.*" + a.want).Match(b[from:]) {
				t.Errorf("the agent's log does not tell: want %q", a.want)
			}
		})
	}
	s.passwordsStayedHome(t)

	attacks++
	t.Run("spool/same bytes again", func(t *testing.T) {
		receipt, err := os.ReadFile(at(good, artifact.ReceiptFile))
		must(t, err)
		must(t, s.agent.Proc.Stop())
		must(t, os.Remove(at(good, artifact.ReceiptFile)))
		must(t, s.agent.Run(ctx))
		// The same word of the collector; the checkpoint beside it may be a newer one.
		var first, again struct{ Payload, Signature, Certificate string }
		must(t, json.Unmarshal(receipt, &first))
		s.await(t, ctx, "the receipt", func() (bool, error) {
			b, err := os.ReadFile(at(good, artifact.ReceiptFile))
			if err != nil {
				return false, err
			}
			return json.Unmarshal(b, &again) == nil && again == first, fmt.Errorf("%s", b)
		})
		arrived(1)
	})
	attacks++
	t.Run("spool/other bytes under a known name", func(t *testing.T) {
		must(t, s.agent.Proc.Stop())
		must(t, os.Remove(at(good, artifact.ReceiptFile)))
		s.resign(t, me, at(good), func(m map[string]any) { m["profile"] = "forged" })
		must(t, s.agent.Run(ctx))
		s.refusedAndRecorded(t, ctx, good, `conflict`)
		arrived(1)
	})
	s.awaitConnected1(t, ctx)
	return attacks
}

// waitsEncrypted fails unless every artifact of an acquisition that no collector has lies
// encrypted, and opens with the collector's keys, and those alone, to what was signed.
func (s *system) waitsEncrypted(t *testing.T, dir string) {
	t.Helper()
	keys, err := s.collector.EvidenceKeys()
	must(t, err)
	b, err := os.ReadFile(filepath.Join(dir, artifact.ManifestFile))
	must(t, err)
	var m artifact.Manifest
	must(t, json.Unmarshal(b, &m))
	list, err := os.ReadDir(filepath.Join(dir, artifact.ArtifactDir))
	must(t, err)
	if len(list) != len(m.Artifacts) || len(list) == 0 {
		t.Errorf("%d files of %d artifacts wait", len(list), len(m.Artifacts))
	}
	for _, a := range m.Artifacts {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(a.Name)+envelope.Suffix))
		must(t, err)
		clear, err := unseal.Open(bytes.NewReader(b), keys...)
		must(t, err)
		if sum, n, err := digest.OfReader(clear); err != nil || sum.String() != a.Stored.SHA256 || n != a.Stored.Size {
			t.Errorf("%s opens to %d bytes with %s: %v", a.Name, n, sum, err)
		}
		stranger, err := unseal.New()
		must(t, err)
		if _, err := unseal.Open(bytes.NewReader(b), stranger); !errors.Is(err, unseal.ErrOtherKey) {
			t.Errorf("%s opens for anybody: %v", a.Name, err)
		}
	}
}

// sealUnsent has n acquisitions sealed that no collector takes, and returns their
// names in the order of their making.
func (s *system) sealUnsent(t *testing.T, ctx context.Context, n int) []string {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(s.agent.Dir, "spool", "acq_*", artifact.SignatureFile))
	must(t, err)
	var names []string
	for range n {
		r, err := s.agent.CLI(ctx, "", "report", "--wait", "0", "hostile spool")
		must(t, err)
		if r.Code != 0 {
			t.Fatalf("report: exit code %d\n%s", r.Code, r.Stderr)
		}
		s.await(t, ctx, "a sealed acquisition", func() (bool, error) {
			found, err := filepath.Glob(filepath.Join(s.agent.Dir, "spool", "acq_*", artifact.SignatureFile))
			for _, f := range found {
				if name := filepath.Base(filepath.Dir(f)); !slices.Contains(old, f) && !slices.Contains(names, name) {
					names = append(names, name)
					return true, nil
				}
			}
			return false, err
		})
	}
	return names
}

// resign changes a manifest and signs it with the agent's own key.
func (s *system) resign(t *testing.T, by member, dir string, edit func(map[string]any)) {
	t.Helper()
	change(t, filepath.Join(dir, artifact.ManifestFile), func(b []byte) []byte {
		var m map[string]any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		must(t, d.Decode(&m))
		edit(m)
		b, err := json.Marshal(m)
		must(t, err)
		sig, err := pki.Sign(by.key, b)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, artifact.SignatureFile), sig, 0o600))
		return b
	})
}

// refusedAndRecorded waits until the agent knows that its evidence is refused, and
// looks for the same in the ledger.
func (s *system) refusedAndRecorded(t *testing.T, ctx context.Context, acquisition, want string) {
	t.Helper()
	s.await(t, ctx, "the refusal", func() (bool, error) {
		_, err := os.Stat(filepath.Join(s.agent.Dir, "spool", acquisition, "refused.json"))
		return err == nil, err
	})
	var list []struct {
		Act     string            `json:"act"`
		Details map[string]string `json:"details"`
	}
	must(t, s.collector.Glass().Call(ctx, "ledger.list", map[string]any{"subject": acquisition}, &list))
	for _, e := range list {
		if e.Act == "evidence.refuse" && regexp.MustCompile(want).MatchString(e.Details["code"]+" "+e.Details["part"]) {
			return
		}
	}
	t.Errorf("the ledger does not hold the refusal %q: %+v", want, list)
}

// passwordsStayedHome fails the test when what a link in the spool led to reached the
// collector.
func (s *system) passwordsStayedHome(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(s.collector.Dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("root:x:0:0:")) {
			t.Errorf("%s holds the PC's password file", path)
		}
		return err
	})
	must(t, err)
}

func change(t *testing.T, file string, edit func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	overwrite(t, file, edit(b))
}

// awaitConnected1 waits for the one agent that runs; others may be enrolled.
func (s *system) awaitConnected1(t *testing.T, ctx context.Context) {
	t.Helper()
	s.await(t, ctx, "the agent's connection", func() (bool, error) {
		st, err := s.agent.Status(ctx)
		return st.Connected, err
	})
}
