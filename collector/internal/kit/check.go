package kit

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/digest"
	"hozen/internal/usbkit"
	"hozen/internal/verify"
)

// Found is a result that holds together, and what it says.
type Found struct {
	*Result
	Manifest    artifact.Manifest
	Raw         []byte // the manifest, exact bytes
	Sig         []byte
	PublicKey   []byte      // DER SubjectPublicKeyInfo of the one-time key
	Statement   *record.Kit // nil: it has none
	Host        record.HostInfo
	ReceiptCode string
}

// Check proves a result as any verifier would, and reads what it says. What is wrong stands
// in the problems of the result afterwards; only without any can it be taken in.
func Check(ctx context.Context, r *Result) (Found, error) {
	f := Found{Result: r}
	wrong := func(file, code, detail string) {
		r.Problems = append(r.Problems, Problem{usbkit.ResultsDir + "/" + r.AcquisitionID + "/" + file, code, detail})
	}
	known := map[string]bool{} // what could not be laid out is missing to the verifier
	for _, p := range r.Problems {
		known[strings.TrimSuffix(p.File, usbkit.Sealed)] = true
	}
	report, err := verify.Folder(ctx, r.Dir, verify.Anchor{})
	if err != nil {
		return f, fmt.Errorf("check %s: %w", r.AcquisitionID, err)
	}
	told := map[string]bool{}
	for _, p := range report.Problems {
		if told[p.File] && p.Code != CodeExtra { // one altered byte shows in several ways
			continue
		}
		told[p.File] = true
		if p.Code == CodeMissing && known[usbkit.ResultsDir+"/"+r.AcquisitionID+"/"+p.File] {
			continue
		}
		wrong(p.File, p.Code, p.Detail)
	}
	if report.ManifestSHA256 != "" {
		d, err := digest.Parse(report.ManifestSHA256)
		if err != nil {
			return f, fmt.Errorf("check %s: %w", r.AcquisitionID, err)
		}
		f.ReceiptCode = usbkit.ReceiptCode(d)
	}
	if len(r.Problems) > 0 {
		return f, nil
	}
	switch {
	case report.AcquisitionID != r.AcquisitionID:
		wrong(artifact.ManifestFile, "manifest", "it is of the acquisition "+report.AcquisitionID)
		return f, nil
	case !report.OneTimeKey:
		wrong(artifact.ManifestFile, "manifest", "it was signed by the key of an enrolled endpoint; such evidence comes over the network")
		return f, nil
	}
	return f, f.read()
}

// read reads what a result says that was found right.
func (f *Found) read() error {
	var err error
	if f.Raw, err = os.ReadFile(filepath.Join(f.Dir, artifact.ManifestFile)); err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	if f.Sig, err = os.ReadFile(filepath.Join(f.Dir, artifact.SignatureFile)); err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	signer, err := os.ReadFile(filepath.Join(f.Dir, artifact.SignerFile))
	if err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	block, _ := pem.Decode(signer)
	if block == nil {
		return errors.New("read result: the key is no PEM") // the verifier has read it before
	}
	f.PublicKey = block.Bytes
	if err := json.Unmarshal(f.Raw, &f.Manifest); err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	for _, e := range f.Manifest.Artifacts {
		switch e.Kind {
		case artifact.KindKit:
			var s record.Kit
			if f.first(e, &s) == nil {
				f.Statement = &s
			}
		case artifact.KindHostInfo:
			if f.first(e, &f.Host) != nil { // signed nonsense: then it says nothing
				f.Host = record.HostInfo{}
			}
		}
	}
	return nil
}

// first decodes the first line of an artifact.
func (f *Found) first(e artifact.Entry, v any) error {
	file, err := os.Open(filepath.Join(f.Dir, filepath.FromSlash(e.Name)))
	if err != nil {
		return err
	}
	defer file.Close()
	var in io.Reader = file
	if e.Compression == "zstd" {
		d, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return err
		}
		defer d.Close()
		in = d
	}
	b, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return json.Unmarshal(line, v)
}
