package evidence_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
)

// sealedFile is a part as it waits on an endpoint, and where its chunks begin.
func sealedFile(t *testing.T, clear []byte, to envelope.Recipient) (file []byte, head int) {
	t.Helper()
	var b bytes.Buffer
	w, err := envelope.Seal(&b, to)
	head = b.Len()
	if err == nil {
		_, err = w.Write(clear)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), head
}

// sendSealed sends at most so many bytes of a part's file; all of them, and its end, when that
// is negative.
func sendSealed(u *evidence.Upload, name string, file []byte, head int, clear []byte, offset int64, most int) error {
	if err := u.Part(name, offset, file[:head]); err != nil {
		return err
	}
	rest := file[min(len(file), head+int(offset)/(64<<10)*(64<<10+16)):]
	if most >= 0 {
		rest = rest[:min(most, len(rest))]
	}
	for len(rest) > 0 {
		n := min(50_000, len(rest))
		if err := u.Write(bytes.Clone(rest[:n])); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if most >= 0 {
		return nil
	}
	sum := digest.Of(clear)
	return u.EndPart(int64(len(clear)), sum[:])
}

// TestPartsThatWaitedEncrypted: what an endpoint kept encrypted to the collector is opened as it
// arrives, goes on where it was broken off, and is evidence like any other; what does not open
// is refused, and nobody is told what another key hides.
func TestPartsThatWaitedEncrypted(t *testing.T) {
	site := evidencetest.New(t, sqldbtest.Open(t))
	blobs := site.Blobs
	ring := blobs.Vault().(*atrest.Ring)
	keys, err := ring.Recipients()
	if err != nil {
		t.Fatal(err)
	}
	to, err := envelope.ParseRecipient(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	in := site.Open(t, nil)
	ep := site.Endpoint(t)
	ctx := t.Context()
	process, openfile := "artifacts/process.jsonl.zst", "artifacts/openfile.jsonl.zst"

	a := ep.Acquisition(t, 60_000, artifact.KindProcess, artifact.KindOpenFile)
	clear := a.Parts[process]
	if len(clear) < 3*(64<<10) {
		t.Fatalf("the part has %d bytes, too few to be broken off", len(clear))
	}
	file, head := sealedFile(t, clear, to)
	if _, err := ring.Add(); err != nil { // the key was changed meanwhile; what waited opens
		t.Fatal(err)
	}
	begin := func() *evidence.Upload {
		u, err := in.Begin(ctx, ep.ID, a.Manifest.AcquisitionID)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, most := range []int{100_000, 1, 70_000} { // broken off again and again
		u := begin()
		st, err := in.State(ctx, ep.ID, a.Manifest.AcquisitionID)
		var have int64
		if len(st.Parts) > 0 {
			have = st.Parts[0].Size
		}
		if err = errors.Join(err, sendSealed(u, process, file, head, clear, have, most)); err != nil {
			t.Fatal(err)
		}
		u.Close()
	}
	st, err := in.State(ctx, ep.ID, a.Manifest.AcquisitionID)
	if err != nil || len(st.Parts) != 1 || st.Parts[0].Size == 0 || st.Parts[0].Size >= int64(len(clear)) {
		t.Fatalf("%+v, %v", st, err)
	}
	u := begin()
	if err := sendSealed(u, process, file, head, clear, st.Parts[0].Size, -1); err != nil {
		t.Fatal(err)
	}
	if keys, err = ring.Recipients(); err != nil {
		t.Fatal(err)
	}
	newest, err := envelope.ParseRecipient(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	small, smallHead := sealedFile(t, a.Parts[openfile], newest)
	if err := sendSealed(u, openfile, small, smallHead, a.Parts[openfile], 0, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Seal(ctx, a.Raw, a.Signature, a.Certificate); err != nil {
		t.Fatal(err)
	}
	u.Close()
	for _, e := range a.Manifest.Artifacts {
		d, err := digest.Parse(e.Stored.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := blobs.Stat(ctx, d); err != nil || !info.Sealed || info.Size != e.Stored.Size {
			t.Errorf("%s lies as %+v, %v", e.Name, info, err)
		}
		// To the newest key it stays as it came, to an earlier one it does not.
		came := map[string][]byte{process: file, openfile: small}[e.Name]
		lies, err := os.ReadFile(filepath.Join(site.Dir, "blobs", "sha256", d.String()[:2], d.String()+".age"))
		if err != nil || bytes.Equal(lies, came) != (e.Name == openfile) {
			t.Errorf("%s lies as it came: %t, %v", e.Name, bytes.Equal(lies, came), err)
		}
	}

	other, err := unseal.New()
	if err != nil {
		t.Fatal(err)
	}
	foreign, foreignHead := sealedFile(t, clear, other.Recipient())
	changed := bytes.Clone(file)
	changed[head+100] ^= 1
	for name, c := range map[string]struct {
		want evidence.Code
		file []byte
		head int
	}{
		"another key": {evidence.OtherKey, foreign, foreignHead}, "changed": {evidence.DigestMismatch, changed, head},
		"no envelope": {evidence.Malformed, file, 40}, "cut": {evidence.DigestMismatch, file[:len(file)-9], head},
	} {
		b := ep.Acquisition(t, 10, artifact.KindProcess)
		u, err := in.Begin(ctx, ep.ID, b.Manifest.AcquisitionID)
		if err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, c.want, func() error { return sendSealed(u, process, c.file, c.head, clear, 0, -1) })
		u.Close()
		if st, err := in.State(ctx, ep.ID, b.Manifest.AcquisitionID); err != nil || len(st.Parts) > 0 {
			t.Errorf("%s: %+v is left, %v", name, st, err)
		}
	}
	clearBlobs, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	bare := site.Open(t, func(c *evidence.Config) { c.Blobs, c.Incoming = clearBlobs, t.TempDir() })
	b := ep.Acquisition(t, 10, artifact.KindProcess)
	u, err = bare.Begin(ctx, ep.ID, b.Manifest.AcquisitionID)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	wantRefusal(t, evidence.OtherKey, func() error { return u.Part(process, 0, file[:head]) })
}
