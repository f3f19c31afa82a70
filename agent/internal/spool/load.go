package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"

	"hozen/internal/durable"
	"hozen/internal/id"
)

// load finds what lies in the spool. Only trouble with the spool folder itself is an
// error; trouble with one acquisition is a problem that is named and passed over.
func (s *Spool) load() error {
	list, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, d := range list {
		name := d.Name()
		old, isDrop := strings.CutSuffix(name, dropping)
		switch {
		case name == lockFile:
		case durable.IsTemp(name) && d.Type().IsRegular():
			if err := removeIfThere(s.root, name); err != nil {
				return err
			}
		case isDrop && d.IsDir() && id.Check(id.Acquisition, old) == nil:
			if err := s.root.RemoveAll(name); err != nil {
				return err
			}
		case !d.IsDir():
			s.problem(name, "is not a folder")
		case id.Check(id.Acquisition, name) != nil:
			s.problem(name, "is not named like an acquisition")
		default:
			if err := s.loadOne(name); err != nil {
				s.problem(name, err.Error())
			}
		}
	}
	return nil
}

// errUnbegun means that a crash came before Begin returned: nothing was acquired.
var errUnbegun = errors.New("never begun")

func (s *Spool) loadOne(name string) error {
	root, err := s.root.OpenRoot(name)
	if err != nil {
		return err
	}
	defer root.Close()
	e, err := readEntry(root, name)
	if errors.Is(err, errUnbegun) {
		return s.root.RemoveAll(name)
	}
	if err != nil {
		return err
	}
	if err := s.readParts(root, e); err != nil {
		return err
	}
	s.entries[name] = e
	s.sequence = max(s.sequence, e.sequence)
	return nil
}

// readEntry reads everything but the parts, and clears away what was half-written.
func readEntry(root *os.Root, name string) (*entry, error) {
	list, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, d := range list {
		switch n := d.Name(); {
		case durable.IsTemp(n) && d.Type().IsRegular():
			if err := removeIfThere(root, n); err != nil {
				return nil, err
			}
		case n == artifactDir && d.IsDir():
			sizes[n] = 0
		case n == headFile, n == manifestFile, n == signatureFile, n == signerFile, n == certFile, n == receiptFile, n == refusedFile, n == notesFile:
			fi, err := root.Lstat(n)
			if err != nil {
				return nil, err
			}
			if !fi.Mode().IsRegular() {
				return nil, fmt.Errorf("%s: %w", n, errNotRegular)
			}
			sizes[n] = fi.Size()
		default:
			return nil, fmt.Errorf("holds %.100q, which does not belong there", n)
		}
	}
	if _, ok := sizes[headFile]; !ok {
		delete(sizes, notesFile) // made before the head
		if _, parts := sizes[artifactDir]; len(sizes) == 0 || (parts && len(sizes) == 1 && emptyFolder(root, artifactDir)) {
			return nil, errUnbegun
		}
		return nil, errors.New("holds no " + headFile)
	}
	e, err := readHead(root, name)
	if err != nil {
		return nil, err
	}
	if _, ok := sizes[signatureFile]; ok {
		if _, err := readSealed(root); err != nil {
			return nil, err
		}
		e.state = Sealed
		err = readVerdict(root, e)
	} else if err = unsigned(root); err == nil {
		e.state = Interrupted
		for _, n := range []string{manifestFile, signerFile, certFile} { // of a seal that did not come to its end
			err = errors.Join(err, removeIfThere(root, n))
			delete(sizes, n)
		}
	}
	for _, n := range sizes {
		e.other += n
	}
	return e, err
}

// unsigned reports why an acquisition without a signature is not to be signed: somebody
// else than this program made it, or could change it. One with a signature proves itself.
func unsigned(root *os.Root) error {
	for _, n := range []string{".", headFile, artifactDir} {
		fi, err := root.Lstat(n)
		if err == nil {
			err = durable.Ours(fi)
		}
		if err != nil {
			return fmt.Errorf("is not signed, and %s: %w", n, err)
		}
	}
	return nil
}

func emptyFolder(root *os.Root, name string) bool {
	list, err := fs.ReadDir(root.FS(), name)
	return err == nil && len(list) == 0
}

func readHead(root *os.Root, name string) (*entry, error) {
	b, err := readFile(root, headFile, maxHead)
	if err != nil {
		return nil, err
	}
	h, err := parseHead(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", headFile, err)
	}
	if h.AcquisitionID != name {
		return nil, fmt.Errorf("%s belongs to %.60q", headFile, h.AcquisitionID)
	}
	return &entry{id: name, sequence: h.Sequence, begunAt: h.BegunAt, plan: h.Plan, sealed: h.Sealed}, nil
}

func parseHead(b []byte) (head, error) {
	var h head
	if err := decodeStrict(b, &h); err != nil {
		return head{}, err
	}
	if want := map[bool]string{false: headFormat, true: sealedFormat}[h.Sealed]; h.Format != want {
		return head{}, fmt.Errorf("format %.40q is not %s", h.Format, want)
	}
	return h, nil
}

func decodeStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the object")
	}
	return nil
}

// readSealed reads what Seal wrote. Whether the signature is right is for others to
// say; a manifest that is not even JSON is named here.
func readSealed(root *os.Root) (Seal, error) {
	var s Seal
	for _, f := range []struct {
		name     string
		limit    int64
		to       *[]byte
		optional bool
	}{
		{manifestFile, maxManifest, &s.Manifest, false},
		{signatureFile, maxSmall, &s.Signature, false},
		{signerFile, maxSmall, &s.SignerPEM, false},
		{certFile, maxSmall, &s.CertPEM, true},
	} {
		b, err := readFile(root, f.name, f.limit)
		if f.optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Seal{}, err
		}
		*f.to = b
	}
	if !json.Valid(s.Manifest) {
		return Seal{}, errors.New(manifestFile + " is cut off or not JSON")
	}
	return s, nil
}

// verdict is refused.json.
type verdict struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// readVerdict finds what the collector said of a sealed acquisition.
func readVerdict(root *os.Root, e *entry) error {
	if fi, err := root.Lstat(receiptFile); err == nil {
		e.state, e.receivedAt = Received, fi.ModTime()
		return nil
	}
	b, err := readFile(root, refusedFile, maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var v verdict
	if err := decodeStrict(b, &v); err != nil {
		return fmt.Errorf("%s: %w", refusedFile, err)
	}
	e.state, e.reason, e.receivedAt, e.verdict = Refused, v.Reason, v.At, int64(len(b))
	return nil
}

// readParts finds the parts. Half-written ones of an unsealed acquisition are taken
// away and named in e.dropped. Nothing that was signed, or ever whole, is taken away.
func (s *Spool) readParts(root *os.Root, e *entry) error {
	list, err := fs.ReadDir(root.FS(), artifactDir)
	if err != nil {
		return err
	}
	signed := e.state != Interrupted
	known, err := s.learn(root, e, signed)
	if err != nil {
		return err
	}
	for _, d := range list {
		name := path.Join(artifactDir, d.Name())
		file, half := strings.CutSuffix(trimAside(name), growing)
		final, ours := e.finalOf(file)
		if err := checkPart(final); err != nil || !ours {
			return fmt.Errorf("holds %.100q, which does not belong there", name)
		}
		fi, err := root.Lstat(name)
		if err != nil {
			return err
		}
		if !fi.Mode().IsRegular() {
			return fmt.Errorf("%s: %w", name, errNotRegular)
		}
		if err := durable.Ours(fi); err != nil && !signed {
			return fmt.Errorf("is not signed, and %s: %w", name, err)
		}
		p := &part{name: final, onDisk: name, size: fi.Size(), complete: true, image: isImage(final)}
		if e.sealed {
			p.sealed, p.file = true, fi.Size()
		}
		switch {
		case strings.HasSuffix(name, aside):
			s.keptAside(e, name, fi.Size())
		case half && signed:
			s.keptAside(e, name, fi.Size())
		case half:
			if err := removeIfThere(root, name); err != nil {
				return err
			}
			e.dropped = append(e.dropped, final)
			s.cfg.Log.Warn("half-written part dropped", slog.String("acquisition", e.id), slog.String("part", final), slog.Int64("bytes", fi.Size()))
		case e.sealed && !p.known(known):
			if !signed { // its name is needed by who goes on, and takes the part again
				if name, err = setAside(root, name); err != nil {
					return err
				}
				e.dropped = append(e.dropped, final)
			}
			s.keptAside(e, name, fi.Size())
		default:
			e.parts = append(e.parts, p)
		}
	}
	return nil
}
