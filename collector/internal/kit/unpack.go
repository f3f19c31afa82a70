package kit

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/id"
	"hozen/internal/usbkit"
)

// Problem is one thing that is wrong with what came on a stick.
type Problem struct {
	File   string // from the kit's folder on
	Code   string // see [Codes]
	Detail string // English, for experts
}

// The codes of this package; those of what a result holds are the verifier's (package verify).
const (
	CodeMissing    = "missing"    // a file is not there
	CodeExtra      = "extra"      // a file that does not belong there
	CodeDigest     = "digest"     // a file of the kit is not the one that it was made with
	CodeUnreadable = "unreadable" // the medium or the zip does not give it
	CodeTooLarge   = "too_large"
	CodeSealed     = "sealed" // cannot be opened: altered, or sealed for somebody else
)

// Stick is what a stick holds.
type Stick struct {
	Document  []byte // kit.json; nil when there is none
	Signature []byte
	Problems  []Problem // of the kit itself
	Results   []*Result // in the order of their identifiers, which is that of time
}

// Result is the folder of one acquisition.
type Result struct {
	AcquisitionID string
	Dir           string // where it lies now, opened
	Unfinished    bool   // it was broken off before it was signed
	Parts         []string
	Problems      []Problem
}

// Limits of what is read from a stick.
const (
	maxNames   = 20_000
	maxResults = 500
	maxSmall   = 4 << 20  // of a file that is no artifact
	maxOne     = 64 << 30 // of an artifact
)

// Unpacking says how a stick is read.
type Unpacking struct {
	// Dir takes the results; it exists and is empty.
	Dir string
	// MaxBytes is the most that may be written there.
	MaxBytes int64
	// Open opens bytes that were sealed for the organisation. Optional: without it they
	// cannot be opened.
	Open func(sealed io.Reader) (io.Reader, error)
}

// Unpack reads a stick that was packed into a zip, in a folder or not, and lays its results
// out under u.Dir. What is wrong with the stick is in it; the error is about not being able
// to look or to write.
func Unpack(ctx context.Context, z *zip.Reader, u Unpacking) (*Stick, error) {
	if len(z.File) > maxNames {
		return nil, fmt.Errorf("read stick: %w", ErrTooMany)
	}
	r := &unpacker{ctx: ctx, u: u, stick: &Stick{}, base: baseOf(z.File), files: map[string]*zip.File{}, results: map[string]*Result{}}
	for _, f := range z.File {
		name, ok := strings.CutPrefix(f.Name, r.base)
		if !ok || name == "" || strings.HasSuffix(f.Name, "/") || isJunk(name) {
			continue
		}
		if r.files[name] != nil {
			r.problem(name, CodeExtra, "it is there twice")
			continue
		}
		r.files[name] = f
	}
	if err := r.kit(); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(r.files))
	for n := range r.files {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := r.file(name); err != nil {
			return nil, err
		}
	}
	for _, res := range r.stick.Results {
		res.Unfinished = r.files[usbkit.ResultsDir+"/"+res.AcquisitionID+"/"+artifact.SignatureFile] == nil
	}
	return r.stick, nil
}

// baseOf finds the folder that the kit lies in: the shortest that holds the document or
// the results.
func baseOf(files []*zip.File) string {
	best, found := "", false
	for _, f := range files {
		dir := ""
		switch i := strings.Index(f.Name, usbkit.ResultsDir+"/"); {
		case path.Base(f.Name) == usbkit.DocumentFile:
			dir = strings.TrimSuffix(f.Name, usbkit.DocumentFile)
		case i == 0 || i > 0 && f.Name[i-1] == '/':
			dir = f.Name[:i]
		default:
			continue
		}
		if !found || len(dir) < len(best) {
			best, found = dir, true
		}
	}
	return best
}

// isJunk reports whether a system put a file there by itself.
func isJunk(name string) bool {
	for _, part := range strings.Split(name, "/") {
		if strings.HasPrefix(part, "._") || strings.HasPrefix(part, ".Trash") || strings.HasPrefix(part, ".tmp-") ||
			slices.Contains([]string{"System Volume Information", "$RECYCLE.BIN", ".DS_Store", ".Spotlight-V100", ".fseventsd", "Thumbs.db", "desktop.ini", "lost+found"}, part) {
			return true
		}
	}
	return false
}

// unpacker reads one stick.
type unpacker struct {
	ctx     context.Context
	u       Unpacking
	stick   *Stick
	base    string
	files   map[string]*zip.File
	results map[string]*Result
	written int64
}

func (r *unpacker) problem(file, code, format string, args ...any) {
	r.stick.Problems = append(r.stick.Problems, Problem{file, code, fmt.Sprintf(format, args...)})
}

// small reads a small file whole.
func (r *unpacker) small(name string, limit int64) ([]byte, error) {
	f := r.files[name]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return b, err
}

// kit reads the document and holds the files of the kit against it.
func (r *unpacker) kit() error {
	var err error
	if r.stick.Document, err = r.small(usbkit.DocumentFile, usbkit.MaxDocument); err != nil {
		r.stick.Document = nil
		r.problem(usbkit.DocumentFile, codeOf(err), "%v", err)
		return nil
	}
	if r.stick.Signature, err = r.small(usbkit.SignatureFile, maxSignature); err != nil {
		r.stick.Signature = nil
		r.problem(usbkit.SignatureFile, codeOf(err), "%v", err)
	}
	k, err := usbkit.Decode(r.stick.Document)
	if err != nil {
		r.problem(usbkit.DocumentFile, CodeDigest, "%v", err)
		return nil
	}
	for _, f := range k.Files {
		sum, err := r.sum(f.Name, f.Size)
		switch {
		case r.ctx.Err() != nil:
			return r.ctx.Err()
		case errors.Is(err, errOtherSize):
			r.problem(f.Name, CodeDigest, "%v", err)
		case err != nil:
			r.problem(f.Name, codeOf(err), "%v", err)
		case sum != f.SHA256:
			r.problem(f.Name, CodeDigest, "it has the SHA-256 %s, the kit was made with %s", sum, f.SHA256)
		}
	}
	return nil
}

func codeOf(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return CodeMissing
	}
	return CodeUnreadable
}

// errOtherSize means that a file cannot be the one of the kit, whatever its bytes are.
var errOtherSize = errors.New("it is not as large as the file that the kit was made with")

// sum is the SHA-256 of a file of the kit. Nobody has looked yet who signed the document, so
// the size that it names is believed of nothing: a file of another size is not read at all, and
// none is larger than a kit's can be.
func (r *unpacker) sum(name string, size int64) (string, error) {
	f := r.files[name]
	if f == nil {
		return "", fs.ErrNotExist
	}
	if size > MaxAgent || f.UncompressedSize64 != uint64(size) {
		return "", errOtherSize
	}
	in, err := f.Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	d, n, err := digest.OfReader(io.LimitReader(ctxReader{r.ctx, in}, size+1))
	if err == nil && n != size { // the zip says something else of it than it holds
		err = errOtherSize
	}
	return d.String(), err
}

// file takes one file of the results.
func (r *unpacker) file(name string) error {
	inside, ok := strings.CutPrefix(name, usbkit.ResultsDir+"/")
	if !ok {
		return nil // what else lies on a stick is nobody's business
	}
	acq, rest, _ := strings.Cut(inside, "/")
	if id.Check(id.Acquisition, acq) != nil || rest == "" {
		if !strings.HasPrefix(acq, "hozen-test") || !strings.HasSuffix(acq, ".tmp") || rest != "" { // what the agent tries the stick with
			r.problem(name, CodeExtra, "it belongs to no acquisition")
		}
		return nil
	}
	res := r.results[acq]
	if res == nil {
		if len(r.results) == maxResults {
			return fmt.Errorf("read stick: more than %d acquisitions", maxResults)
		}
		res = &Result{AcquisitionID: acq, Dir: filepath.Join(r.u.Dir, acq)}
		if err := os.MkdirAll(filepath.Join(res.Dir, artifact.ArtifactDir), 0o700); err != nil {
			return fmt.Errorf("read stick: %w", err)
		}
		r.results[acq] = res
		r.stick.Results = append(r.stick.Results, res)
	}
	res.Parts = append(res.Parts, rest)
	limit := int64(maxSmall)
	to := rest
	if base, ok := strings.CutPrefix(rest, artifact.ArtifactDir+"/"); ok && isArtifact(base) {
		limit = maxOne
		to = strings.TrimSuffix(rest, usbkit.Sealed)
		if to != rest && r.files[strings.TrimSuffix(name, usbkit.Sealed)] != nil {
			res.Problems = append(res.Problems, Problem{name, CodeExtra, "it is there twice, sealed and not"})
			return nil
		}
	} else if !slices.Contains([]string{artifact.ManifestFile, artifact.SignatureFile, artifact.SignerFile}, rest) {
		if !strings.HasSuffix(rest, ".part") { // what an unfinished acquisition leaves
			res.Problems = append(res.Problems, Problem{name, CodeExtra, "it does not belong to an acquisition"})
		}
		return nil
	}
	return r.take(res, name, to, limit, to != rest)
}

// isArtifact reports whether a name is one of a sealed artifact's or a clear one's, safe
// in a path.
func isArtifact(base string) bool {
	return len(base) <= 68 && base != "" && base[0] != '.' && strings.Trim(base, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == "" && !strings.HasSuffix(base, ".part")
}

// take copies a file of a result, opened if it is sealed.
func (r *unpacker) take(res *Result, name, to string, limit int64, sealed bool) (err error) {
	wrong := func(code, format string, args ...any) {
		res.Problems = append(res.Problems, Problem{name, code, fmt.Sprintf(format, args...)})
	}
	f, err := r.files[name].Open()
	if err != nil {
		wrong(CodeUnreadable, "%v", err)
		return nil
	}
	defer f.Close()
	in := &origin{r: ctxReader{r.ctx, f}}
	var src io.Reader = in
	if sealed {
		if r.u.Open == nil {
			wrong(CodeSealed, "there is no key here to open it with")
			return nil
		}
		if src, err = r.u.Open(in); err != nil {
			wrong(CodeSealed, "%v", err)
			return r.ctx.Err()
		}
	}
	path := filepath.Join(res.Dir, filepath.FromSlash(to))
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("read stick: %w", err)
	}
	room := min(limit, r.u.MaxBytes-r.written)
	n, rerr := io.Copy(onlyWriter{out}, io.LimitReader(src, room+1))
	r.written += n
	cerr := out.Close()
	switch {
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case n > limit:
		wrong(CodeTooLarge, "more than %d bytes", limit)
		return os.Remove(path)
	case n > room:
		return fmt.Errorf("read stick: its results are larger than the room that the collector has for them, %d bytes", r.u.MaxBytes)
	case rerr != nil && in.err == nil && !sealed:
		return fmt.Errorf("read stick: %w", rerr) // of writing
	case rerr != nil:
		code := CodeUnreadable
		if sealed && in.err == nil {
			code = CodeSealed
		}
		wrong(code, "%v", rerr)
		return os.Remove(path)
	}
	if cerr != nil {
		return fmt.Errorf("read stick: %w", cerr)
	}
	return nil
}

// origin remembers an error of reading, to tell it from one of writing.
type origin struct {
	r   io.Reader
	err error
}

func (o *origin) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		o.err = err
	}
	return n, err
}

// onlyWriter hides that a file can copy by itself, which would mix the errors of both sides.
type onlyWriter struct{ io.Writer }

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// IsZip reports whether bytes begin a zip.
func IsZip(head []byte) bool { return bytes.HasPrefix(head, []byte("PK\x03\x04")) }
