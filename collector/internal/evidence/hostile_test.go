package evidence_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/id"
)

const processPart = "artifacts/process.jsonl.zst"

// TestHostile sends what an enrolled endpoint with a stolen or broken agent could
// send. Each is refused by name, is in the ledger, leaves nothing behind, and the
// honest upload that is going on meanwhile is not disturbed.
func TestHostile(t *testing.T) {
	site := evidencetest.New(t, sqldbtest.Open(t))
	in := site.Open(t, func(c *evidence.Config) { c.MaxPart, c.RefusalsPerMinute = 64<<10, 1000 })
	honest := site.Endpoint(t)
	good := honest.Acquisition(t, 10, artifact.KindProcess)
	hu, err := in.Begin(t.Context(), honest.ID, good.Manifest.AcquisitionID)
	if err != nil {
		t.Fatal(err)
	}
	defer hu.Close()

	ep, other := site.Endpoint(t), site.Endpoint(t)
	manifest := func(change func(m *artifact.Manifest)) func(a *evidencetest.Acquisition) {
		return func(a *evidencetest.Acquisition) { change(&a.Manifest); ep.Sign(t, a) }
	}
	raw := func(old, new string) func(a *evidencetest.Acquisition) {
		return func(a *evidencetest.Acquisition) {
			changed := strings.Replace(string(a.Raw), old, new, 1)
			if changed == string(a.Raw) {
				t.Fatalf("%q is not in the manifest", old)
			}
			ep.SignRaw(t, a, []byte(changed))
		}
	}
	content := func(plain string, records int64) func(a *evidencetest.Acquisition) {
		return func(a *evidencetest.Acquisition) {
			a.Manifest.Artifacts = nil
			a.Add(t, artifact.KindProcess, []byte(plain), records)
			ep.Sign(t, a)
		}
	}
	cases := []struct {
		name   string
		code   evidence.Code
		change func(a *evidencetest.Acquisition)
	}{
		{"one byte of a part changed", evidence.DigestMismatch, func(a *evidencetest.Acquisition) { a.Parts[processPart][9] ^= 1 }},
		{"one byte of the manifest changed", evidence.BadSignature, func(a *evidencetest.Acquisition) { a.Raw[40] ^= 1 }},
		{"one byte of the signature changed", evidence.BadSignature, func(a *evidencetest.Acquisition) { a.Signature[12] ^= 1 }},
		{"another endpoint's certificate", evidence.BadSignature, func(a *evidencetest.Acquisition) { a.Certificate = other.Certificate }},
		{"signed by another endpoint", evidence.BadSignature, func(a *evidencetest.Acquisition) { other.Sign(t, a); a.Certificate = other.Certificate }},
		{"no certificate", evidence.BadSignature, func(a *evidencetest.Acquisition) { a.Certificate = nil }},
		{"huge certificate", evidence.TooLarge, func(a *evidencetest.Acquisition) { a.Certificate = make([]byte, 1<<20) }},
		{"names another key", evidence.BadSignature, manifest(func(m *artifact.Manifest) { m.Signer.KeySHA256 = digest.Of(nil).String() })},
		{"another endpoint's manifest", evidence.ForeignEndpoint, manifest(func(m *artifact.Manifest) { m.EndpointID = other.ID })},
		{"no endpoint", evidence.ForeignEndpoint, manifest(func(m *artifact.Manifest) { m.EndpointID, m.Signer.OneTime = "", true })},
		{"another acquisition", evidence.Malformed, func(a *evidencetest.Acquisition) {
			id0 := a.Manifest.AcquisitionID
			a.Manifest.AcquisitionID = id.New(id.Acquisition)
			ep.Sign(t, a)
			a.Manifest.AcquisitionID = id0
		}},
		{"artifact missing", evidence.ArtifactMissing, func(a *evidencetest.Acquisition) { delete(a.Parts, processPart) }},
		{"artifact too much", evidence.ArtifactUnknown, func(a *evidencetest.Acquisition) {
			a.Parts["artifacts/extra.jsonl.zst"] = a.Parts[processPart]
		}},
		{"manifest huge", evidence.TooLarge, func(a *evidencetest.Acquisition) {
			ep.SignRaw(t, a, append(a.Raw, bytes.Repeat([]byte(" "), evidence.MaxManifest)...))
		}},
		{"part too large", evidence.TooLarge, func(a *evidencetest.Acquisition) { a.Parts[processPart] = make([]byte, 65<<10) }},
		{"manifest not JSON", evidence.Malformed, func(a *evidencetest.Acquisition) { ep.SignRaw(t, a, []byte("\x00\x01")) }},
		{"manifest empty", evidence.Malformed, func(a *evidencetest.Acquisition) { ep.SignRaw(t, a, nil) }},
		{"manifest nested", evidence.Malformed, func(a *evidencetest.Acquisition) { ep.SignRaw(t, a, bytes.Repeat([]byte("["), 1<<20)) }},
		{"unknown format", evidence.Malformed, raw("hozen-manifest/1", "hozen-manifest/2")},
		{"unknown field", evidence.Malformed, raw(`"profile"`, `"x": 1, "profile"`)},
		{"field twice", evidence.Malformed, raw(`"profile"`, `"profile": "a", "profile"`)},
		{"field in capitals", evidence.Malformed, raw(`"profile"`, `"Profile"`)},
		{"two manifests", evidence.Malformed, func(a *evidencetest.Acquisition) { ep.SignRaw(t, a, append(a.Raw, a.Raw...)) }},
		{"broken UTF-8", evidence.Malformed, raw("flash", "fla\xffsh")},
		{"path in a name", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Artifacts[0].Name = "artifacts/../../process.jsonl.zst" })},
		{"artifact twice", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Artifacts = append(m.Artifacts, m.Artifacts[0]) })},
		{"a kind twice, once not compressed", evidence.Malformed, manifest(func(m *artifact.Manifest) {
			e := m.Artifacts[0]
			e.Name, e.Compression = "artifacts/process.jsonl", "none"
			m.Artifacts = append(m.Artifacts, e)
		})},
		{"kind with a hyphen", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Probes[0].Kind = "pro-cess" })},
		{"kind with a digit first", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Probes[0].Kind = "9p" })},
		{"kind of 33 characters", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Probes[0].Kind = artifact.Kind(strings.Repeat("k", 33)) })},
		{"schema of version 0", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Artifacts[0].Schema = "hozen.process/0" })},
		{"artifact without a probe", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Probes = m.Probes[:1] })},
		{"no probes", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Probes = nil })},
		{"unknown outcome", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Outcome = "fine" })},
		{"unknown trigger", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Trigger = "hunt" })},
		{"unknown envelope", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Artifacts[0].Envelope.Scheme = "age" })},
		{"other kind", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Artifacts[0].Kind = "clock" })},
		{"other schema", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Artifacts[0].Schema = "hozen.clock/1" })},
		{"negative size", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Artifacts[0].Plain.Size = -1 })},
		{"digest in capitals", evidence.Malformed, manifest(func(m *artifact.Manifest) {
			m.Artifacts[0].Stored.SHA256 = strings.ToUpper(m.Artifacts[0].Stored.SHA256)
		})},
		{"huge host name", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Host.Hostname = strings.Repeat("x", 1<<20) })},
		{"command of another form", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.CommandID = "' OR 1=1" })},
		{"other plain digest", evidence.DigestMismatch, manifest(func(m *artifact.Manifest) { m.Artifacts[0].Plain.SHA256 = digest.Of(nil).String() })},
		{"other plain size", evidence.DigestMismatch, manifest(func(m *artifact.Manifest) { m.Artifacts[0].Plain.Size++ })},
		{"other number of records", evidence.Malformed, manifest(func(m *artifact.Manifest) { m.Artifacts[0].Records++ })},
		{"last line not ended", evidence.Malformed, content("{}\n{}", 1)},
		{"not zstd", evidence.Malformed, func(a *evidencetest.Acquisition) { a.Parts[processPart] = []byte("plain text\n") }},
		{"zstd cut off", evidence.Malformed, func(a *evidencetest.Acquisition) {
			a.Parts[processPart] = a.Parts[processPart][:len(a.Parts[processPart])-8]
		}},
		{"bomb", evidence.Malformed, content(strings.Repeat("\n", 100<<20), 100<<20)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := ep.Acquisition(t, 10, artifact.KindProcess)
			c.change(a)
			before := len(site.Refused)
			wantRefusal(t, c.code, func() error {
				u, err := in.Begin(t.Context(), ep.ID, a.Manifest.AcquisitionID)
				if err != nil {
					return err
				}
				defer u.Close()
				for name, b := range a.Parts {
					sum := digest.Of(b)
					if c.name == "one byte of a part changed" {
						sum = digest.Of(nil)
					}
					for _, err := range []error{u.Part(name, 0, nil), u.Write(b), u.EndPart(int64(len(b)), sum[:])} {
						if err != nil {
							return err
						}
					}
				}
				_, err = u.Seal(t.Context(), a.Raw, a.Signature, a.Certificate)
				if err != nil {
					if again := u.Part(processPart, 0, nil); !errors.Is(again, err) {
						t.Errorf("a refused upload went on: %v", again)
					}
				}
				return err
			})
			if len(site.Refused) != before+1 || site.Refused[before].EndpointID != ep.ID || site.Refused[before].Refusal.Code != c.code {
				t.Errorf("recorded: %+v", site.Refused[before:])
			}
			if dir := filepath.Join(site.Dir, "incoming", ep.ID, a.Manifest.AcquisitionID); exists(dir) {
				t.Error("something was left of it")
			}
		})
	}
	if err := evidencetest.SendPart(hu, processPart, good.Parts[processPart], 0); err != nil {
		t.Fatal(err)
	}
	if _, err := hu.Seal(t.Context(), good.Raw, good.Signature, good.Certificate); err != nil {
		t.Fatal(err)
	}
	refused, err := ledger.Entries(t.Context(), site.DB.Read(), ledger.Filter{OrganisationID: evidencetest.Org, Act: "evidence.refuse"})
	if err != nil || len(refused) != len(cases) {
		t.Errorf("%d refusals in the ledger, want %d, %v", len(refused), len(cases), err)
	}
	site.Refused = nil
	exactlyOnceOf(t, site, 1)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func exactlyOnceOf(t *testing.T, site *evidencetest.Site, n int) {
	t.Helper()
	acqs, err := evidence.Reader{DB: site.DB, Blobs: site.Blobs}.Acquisitions(t.Context(), evidence.AcquisitionFilter{OrganisationID: evidencetest.Org})
	if err != nil || len(acqs) != n {
		t.Errorf("%d acquisitions, %v", len(acqs), err)
	}
	blobs := 0
	for _, err := range site.Blobs.List(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		blobs++
	}
	if blobs != 2*n {
		t.Errorf("%d blobs", blobs)
	}
}

// Calls in an order that no honest agent makes, and names that would leave the folder.
func TestHostileCalls(t *testing.T) {
	site := evidencetest.New(t, sqldbtest.Open(t))
	in := site.Open(t, func(c *evidence.Config) { c.RefusalsPerMinute = 1000 })
	ep := site.Endpoint(t)
	sum := sha256.Sum256(nil)
	for name, c := range map[string]struct {
		code evidence.Code
		call func(u *evidence.Upload) error
	}{
		"bytes without a part": {evidence.Malformed, func(u *evidence.Upload) error { return u.Write([]byte("x")) }},
		"end without a part":   {evidence.Malformed, func(u *evidence.Upload) error { return u.EndPart(0, sum[:]) }},
		"part in a part": {evidence.Malformed, func(u *evidence.Upload) error {
			return errors.Join(u.Part(processPart, 0, nil), u.Part("artifacts/clock.jsonl.zst", 0, nil))
		}},
		"seal in a part": {evidence.Malformed, func(u *evidence.Upload) error {
			if err := u.Part(processPart, 0, nil); err != nil {
				return err
			}
			_, err := u.Seal(t.Context(), nil, nil, nil)
			return err
		}},
		"negative offset": {evidence.Malformed, func(u *evidence.Upload) error { return u.Part(processPart, -1, nil) }},
		"short digest": {evidence.Malformed, func(u *evidence.Upload) error {
			return errors.Join(u.Part(processPart, 0, nil), u.EndPart(0, sum[:31]))
		}},
		"other size": {evidence.DigestMismatch, func(u *evidence.Upload) error { return errors.Join(u.Part(processPart, 0, nil), u.EndPart(1, sum[:])) }},
		"too many parts": {evidence.TooLarge, func(u *evidence.Upload) error {
			for n := range 65 {
				name := fmt.Sprintf("artifacts/k%d.jsonl", n)
				if err := errors.Join(u.Part(name, 0, nil), u.EndPart(0, sum[:])); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := in.Begin(t.Context(), ep.ID, id.New(id.Acquisition))
			if err != nil {
				t.Fatal(err)
			}
			defer u.Close()
			wantRefusal(t, c.code, func() error { return c.call(u) })
		})
	}
	for _, name := range []string{"", "process", "artifacts/", "artifacts/.jsonl.zst", "artifacts/../x.jsonl.zst", "/etc/passwd", "artifacts/a/b.jsonl.zst",
		`artifacts\x.jsonl.zst`, "artifacts/x.jsonl.zst\x00", "artifacts/X.jsonl.zst", "artifacts/x.exe", "artifacts/" + strings.Repeat("x", 65) + ".jsonl", "artifacts/é.jsonl"} {
		u, err := in.Begin(t.Context(), ep.ID, id.New(id.Acquisition))
		if err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, evidence.Malformed, func() error { return u.Part(name, 0, nil) })
		u.Close()
	}
	for _, acq := range []string{"", "..", "acq_x", "../../x", id.New(id.Endpoint)} {
		wantRefusal(t, evidence.Malformed, func() error { _, err := in.State(t.Context(), ep.ID, acq); return err })
	}
	if n := leftovers(t, site); n != 0 {
		t.Errorf("%d files are left in incoming", n)
	}
}

// The rest of a flood after which no refusal comes is recorded when one more may be, and at
// once when the collector ends; what cannot be recorded is not lost.
func TestRestOfAFloodIsRecorded(t *testing.T) {
	db := sqldbtest.Open(t)
	synctest.Test(t, func(t *testing.T) {
		var broken bool
		site := evidencetest.New(t, db)
		in := site.Open(t, func(c *evidence.Config) {
			c.RefusalsPerMinute = 3
			record := c.OnRefused
			c.OnRefused = func(ctx context.Context, tx *sqldb.Tx, r evidence.Refused) error {
				if broken {
					return errors.New("disk full")
				}
				return record(ctx, tx, r)
			}
		})
		ep := site.Endpoint(t)
		flood := func(name string, n int) {
			for range n {
				wantRefusal(t, evidence.Malformed, func() error { _, err := in.State(t.Context(), ep.ID, name); return err })
			}
		}
		want := func(step string, n int, last evidence.Refused) {
			t.Helper()
			got := site.Refused[len(site.Refused)-1]
			if len(site.Refused) != n || got.EndpointID != ep.ID || got.AcquisitionID != last.AcquisitionID || got.Suppressed != last.Suppressed || got.Refusal.Code != evidence.Malformed {
				t.Errorf("%s: %d refusals, last %+v", step, len(site.Refused), got)
			}
		}
		in.RecordRest(t.Context(), true)
		flood("first", 9)
		flood("second", 1)
		in.RecordRest(t.Context(), false)
		want("in the flood", 3, evidence.Refused{AcquisitionID: "first"})
		time.Sleep(time.Minute)
		broken = true
		in.RecordRest(t.Context(), false)
		broken = false
		time.Sleep(time.Minute)
		in.RecordRest(t.Context(), false)
		want("after it", 4, evidence.Refused{AcquisitionID: "second", Suppressed: 6})
		in.RecordRest(t.Context(), true)
		want("once", 4, evidence.Refused{AcquisitionID: "second", Suppressed: 6})
		time.Sleep(time.Hour)
		in.RecordRest(t.Context(), false) // forgets the endpoint, which changes nothing
		flood("third", 5)
		want("another", 7, evidence.Refused{AcquisitionID: "third"})
		in.RecordRest(t.Context(), true)
		want("the end", 8, evidence.Refused{AcquisitionID: "third", Suppressed: 1})
	})
}

// A flood of refusals is a few entries, and the next recorded one says how many more
// there were.
func TestRefusalsAreLimited(t *testing.T) {
	db := sqldbtest.Open(t)
	synctest.Test(t, func(t *testing.T) {
		site := evidencetest.New(t, db)
		in := site.Open(t, func(c *evidence.Config) { c.RefusalsPerMinute = 3 })
		ep, other := site.Endpoint(t), site.Endpoint(t)
		flood := func(e *evidencetest.Endpoint, n int) {
			for range n {
				wantRefusal(t, evidence.Malformed, func() error { _, err := in.State(t.Context(), e.ID, "x"); return err })
			}
		}
		flood(ep, 50)
		flood(other, 1)
		if len(site.Refused) != 4 {
			t.Errorf("%d refusals recorded", len(site.Refused))
		}
		time.Sleep(time.Minute)
		flood(ep, 1)
		if last := site.Refused[len(site.Refused)-1]; last.EndpointID != ep.ID || last.Suppressed != 47 {
			t.Errorf("%+v", last)
		}
	})
}

// What can't be found out is no refusal: the agent keeps its evidence and comes back.
func TestTroubleOfOurOwn(t *testing.T) {
	boom := errors.New("boom")
	for name, change := range map[string]func(c *evidence.Config){
		"verifier": func(c *evidence.Config) { c.Verifier = broken{} },
		"tie": func(c *evidence.Config) {
			c.Tie = func(context.Context, *sqldb.Tx, string, *artifact.Manifest) (evidence.Tied, error) {
				return evidence.Tied{}, boom
			}
		},
		"timeline": func(c *evidence.Config) {
			c.OnAccepted = func(context.Context, *sqldb.Tx, evidence.Acquisition, []evidence.Item) error { return boom }
		},
		"disk nearly full": func(c *evidence.Config) { c.MinFree = 1 << 62 },
		"quota":            func(c *evidence.Config) { c.MaxIncoming = 100 },
	} {
		t.Run(name, func(t *testing.T) {
			site := evidencetest.New(t, sqldbtest.Open(t))
			ep := site.Endpoint(t)
			a := ep.Acquisition(t, 60, artifact.KindProcess, artifact.KindNetConn, artifact.KindSession)
			_, err := evidencetest.Send(t.Context(), site.Open(t, change), ep.ID, a)
			if _, ok := errors.AsType[*evidence.Refusal](err); ok || err == nil {
				t.Fatalf("got %v", err)
			}
			if name == "disk nearly full" && !errors.Is(err, evidence.ErrNoSpace) || name == "quota" && !errors.Is(err, evidence.ErrQuota) {
				t.Errorf("got %v", err)
			}
			if _, err := evidencetest.Send(t.Context(), site.Open(t, nil), ep.ID, a); err != nil {
				t.Fatalf("after the trouble: %v", err)
			}
			exactlyOnce(t, site, []*evidencetest.Acquisition{a})
		})
	}
}

type broken struct{ evidence.Verifier }

func (broken) SignerKey(context.Context, string, []byte) (*ecdsa.PublicKey, error) {
	return nil, errors.New("the database is gone")
}

// An endpoint's abandoned uploads make room for its newer ones; others' do not, and
// neither does what is sealed.
func TestQuota(t *testing.T) {
	site := evidencetest.New(t, sqldbtest.Open(t))
	in := site.Open(t, func(c *evidence.Config) { c.MaxIncoming = 10_000 })
	ep, other := site.Endpoint(t), site.Endpoint(t)
	leave := func(e *evidencetest.Endpoint, n int) string {
		t.Helper()
		acq := id.New(id.Acquisition)
		u, err := in.Begin(t.Context(), e.ID, acq)
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		if err := errors.Join(u.Part("artifacts/process.jsonl", 0, nil), u.Write(make([]byte, n))); err != nil {
			t.Fatal(err)
		}
		return acq
	}
	old, foreign := leave(ep, 6000), leave(other, 9000)
	young := leave(ep, 6000)
	parts := func(e *evidencetest.Endpoint, acq string) int {
		st, err := in.State(t.Context(), e.ID, acq)
		if err != nil {
			t.Fatal(err)
		}
		return len(st.Parts)
	}
	if parts(ep, old) != 0 || parts(ep, young) != 1 || parts(other, foreign) != 1 {
		t.Errorf("left: old %d, young %d, another's %d", parts(ep, old), parts(ep, young), parts(other, foreign))
	}
}

// What nobody comes back for is dropped one day.
func TestAbandoned(t *testing.T) {
	site := evidencetest.New(t, sqldbtest.Open(t))
	in := site.Open(t, nil)
	ep := site.Endpoint(t)
	u, err := in.Begin(t.Context(), ep.ID, id.New(id.Acquisition))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(u.Part(processPart, 0, nil), u.Write([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	u.Close()
	site.Open(t, nil)
	if n := leftovers(t, site); n != 1 {
		t.Fatalf("%d files after a restart", n)
	}
	site.Open(t, func(c *evidence.Config) { c.Now = func() time.Time { return time.Now().Add(31 * 24 * time.Hour) } })
	if n := leftovers(t, site); n != 0 {
		t.Errorf("%d files after a month", n)
	}
}

func FuzzManifest(f *testing.F) {
	site := evidencetest.New(f, sqldbtest.Open(f))
	f.Add(site.Endpoint(f).Acquisition(f, 2, artifact.KindProcess, artifact.KindClock).Raw)
	f.Add([]byte(`{"format":"hozen-manifest/1"}`))
	f.Add([]byte(`{"a":{"a":[1,{"b":null}]},"a":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := evidence.DecodeManifest(b)
		if err != nil {
			return
		}
		// Accepted: another encoding of the same is accepted too, and names are safe.
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := evidence.DecodeManifest(again); err != nil {
			t.Errorf("its own encoding is refused: %v", err)
		}
		for _, e := range m.Artifacts {
			if !filepath.IsLocal(e.Name) || strings.Count(e.Name, "/") != 1 {
				t.Errorf("name %q", e.Name)
			}
		}
	})
}

func FuzzPartName(f *testing.F) {
	for _, s := range []string{processPart, "artifacts/x.jsonl", "artifacts/../x.jsonl", "artifacts/con.jsonl.zst", "artifacts/memory.lime.zst", "artifacts/btf.raw", "artifacts/x.exe", "artifacts/a.b.raw"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		kind, compression, err := evidence.ParsePartName(s)
		if err != nil {
			return
		}
		end := ""
		if compression == "zstd" {
			end = ".zst"
		}
		form, ok := strings.CutPrefix(strings.TrimSuffix(s, end), "artifacts/"+string(kind)+".")
		if !ok || !slices.Contains([]string{"jsonl", "lime", "raw"}, form) || !filepath.IsLocal(s) || strings.ContainsAny(string(kind), `./\:`+"\x00") {
			t.Errorf("%q was read as %q, %q", s, kind, compression)
		}
	})
}

// TestOpenUploads: each open upload is memory, so one endpoint has few at one time;
// others are not concerned, and a place that was given back is free.
func TestOpenUploads(t *testing.T) {
	site := evidencetest.New(t, sqldbtest.Open(t))
	in := site.Open(t, nil)
	ep, other := site.Endpoint(t), site.Endpoint(t)
	var open []*evidence.Upload
	for {
		u, err := in.Begin(t.Context(), ep.ID, id.New(id.Acquisition))
		if errors.Is(err, evidence.ErrQuota) {
			break
		}
		if err != nil || len(open) > 100 {
			t.Fatalf("%d uploads are open: %v", len(open), err)
		}
		defer u.Close()
		open = append(open, u)
	}
	for _, who := range []string{other.ID, ep.ID} {
		u, err := in.Begin(t.Context(), who, id.New(id.Acquisition))
		if err != nil {
			t.Fatal(err)
		}
		u.Close()
		u.Close()
		open[0].Close()
	}
}

// TestManyEmptyUploads: acquisitions without bytes count too.
func TestManyEmptyUploads(t *testing.T) {
	site := evidencetest.New(t, sqldbtest.Open(t))
	in := site.Open(t, nil)
	ep := site.Endpoint(t)
	last := ""
	for range 300 {
		last = id.New(id.Acquisition)
		u, err := in.Begin(t.Context(), ep.ID, last)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Part(processPart, 0, nil); err != nil {
			t.Fatal(err)
		}
		u.Close()
	}
	if n := leftovers(t, site); n > 256 {
		t.Errorf("%d files are left", n)
	}
	if st, err := in.State(t.Context(), ep.ID, last); err != nil || len(st.Parts) != 1 {
		t.Errorf("the newest is gone: %+v, %v", st, err)
	}
}
