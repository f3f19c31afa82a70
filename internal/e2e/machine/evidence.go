package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
)

// Evidence is one acquisition as its folder shows it: one that was fetched from the
// collector, or one that still lies in an agent's spool.
type Evidence struct {
	Dir       string
	Manifest  artifact.Manifest
	Processes []record.Process
	Sockets   []record.Socket

	keys []unseal.Identity // open what lies encrypted in a spool
}

// ReadEvidence reads the folder of a sealed acquisition; keys open what lies encrypted in an
// agent's spool. It checks nothing: that is hozen-verify's.
func ReadEvidence(dir string, keys ...unseal.Identity) (*Evidence, error) {
	b, err := os.ReadFile(filepath.Join(dir, artifact.ManifestFile))
	if err != nil {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	e := &Evidence{Dir: dir, keys: keys}
	if err := json.Unmarshal(b, &e.Manifest); err != nil {
		return nil, fmt.Errorf("read manifest in %s: %w", dir, err)
	}
	var errs [2]error
	e.Processes, errs[0] = Records[record.Process](e, artifact.KindProcess)
	e.Sockets, errs[1] = Records[record.Socket](e, artifact.KindNetConn)
	return e, errors.Join(errs[:]...)
}

// Records reads the lines of one kind; an acquisition without that kind has none.
func Records[T any](e *Evidence, kind artifact.Kind) (list []T, err error) {
	for _, a := range e.Manifest.Artifacts {
		if a.Kind != kind {
			continue
		}
		path := filepath.Join(e.Dir, filepath.FromSlash(a.Name))
		f, err := os.Open(path)
		sealed := errors.Is(err, fs.ErrNotExist)
		if sealed {
			f, err = os.Open(path + envelope.Suffix)
		}
		if err != nil {
			return nil, fmt.Errorf("read evidence: %w", err)
		}
		defer f.Close()
		var clear io.Reader = f
		if sealed {
			if clear, err = unseal.Open(f, e.keys...); err != nil {
				return nil, fmt.Errorf("read evidence: %w", err)
			}
		}
		z, err := zstd.NewReader(clear)
		if err != nil {
			return nil, fmt.Errorf("read evidence: %w", err)
		}
		defer z.Close()
		for dec := json.NewDecoder(z); ; {
			var r T
			if err := dec.Decode(&r); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return list, fmt.Errorf("read evidence of kind %s: %w", kind, err)
			}
			list = append(list, r)
		}
	}
	return list, nil
}

// Probe returns how a family of evidence ended.
func (e *Evidence) Probe(kind artifact.Kind) (artifact.ProbeOutcome, bool) {
	for _, p := range e.Manifest.Probes {
		if p.Kind == kind {
			return p, true
		}
	}
	return artifact.ProbeOutcome{}, false
}

// Spooled reads the sealed acquisitions in an agent's state folder, whether the
// collector has them already or not; keys are the collector's.
func Spooled(state string, keys ...unseal.Identity) (list []*Evidence, err error) {
	var sealed []string
	for _, spool := range []string{"spool", filepath.Join("power", "spool")} { // the second: captures without the agent
		found, err := filepath.Glob(filepath.Join(state, spool, "acq_*", artifact.SignatureFile))
		if err != nil {
			return nil, err
		}
		sealed = append(sealed, found...)
	}
	for _, s := range sealed {
		e, err := ReadEvidence(filepath.Dir(s), keys...)
		if errors.Is(err, fs.ErrNotExist) {
			continue // dropped meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}
