// Package kit is the agent on a USB stick: it reads the document of the kit that it was
// started from, asks the person at the PC what only a person knows, and puts the answers
// into the evidence. It knows nothing of probes, keys or collectors.
package kit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/digest"
	"hozen/internal/durable"
	"hozen/internal/usbkit"
)

// ErrNoKit means that there is no kit beside the program.
var ErrNoKit = errors.New("there is no kit here")

// Kit is the kit that lies in a folder.
type Kit struct {
	usbkit.Kit
	Dir    string
	SHA256 string // of the document
}

// Open reads the kit in a folder. The error wraps [ErrNoKit] when there is none.
func Open(dir string) (Kit, error) {
	f, err := os.Open(filepath.Join(dir, usbkit.DocumentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Kit{}, fmt.Errorf("%q: %w", dir, ErrNoKit)
	}
	if err != nil {
		return Kit{}, fmt.Errorf("open kit: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, usbkit.MaxDocument+1))
	if err != nil {
		return Kit{}, fmt.Errorf("read kit: %w", err)
	}
	k, err := usbkit.Decode(b)
	if err != nil {
		return Kit{}, err
	}
	return Kit{Kit: k, Dir: dir, SHA256: digest.Of(b).String()}, nil
}

// Result is the folder of an acquisition on the stick.
func (k Kit) Result(acquisitionID string) string {
	return filepath.Join(k.Dir, usbkit.ResultsDir, acquisitionID)
}

// Sealing says in the person's words whether results are encrypted, and with which key: a
// stick that somebody else prepared shows there.
func (k Kit) Sealing(t Texts) string {
	if len(k.Recipients) == 0 {
		return t.Text("kit.sealing.none")
	}
	var keys []string
	for _, r := range k.Recipients {
		keys = append(keys, "…"+r[max(0, len(r)-8):])
	}
	return t.Text("kit.sealing.for", "organisation", tidy(k.Organisation.Name), "keys", strings.Join(keys, " "))
}

// least is how many bytes must be free, by profile: what an acquisition of a large server
// took, several times over.
func least(profile string) int64 {
	if profile == "flash" {
		return 50e6
	}
	return 200e6
}

// Problem is why a stick does not take evidence. Its codes are keys of texts.
type Problem struct {
	Code string // "read_only", "full", "denied", "gone", "other"
	Need int64  // bytes, of "full"
	Free int64
	Err  error
}

func (p *Problem) Error() string {
	if p.Err == nil {
		return fmt.Sprintf("the stick has %d bytes free, %d are needed", p.Free, p.Need)
	}
	return p.Err.Error()
}

// Unwrap returns what the system said.
func (p *Problem) Unwrap() error { return p.Err }

// Explain says in which way writing to the stick failed.
func Explain(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	p := &Problem{Code: "other", Err: err}
	switch {
	case err == nil:
		return nil
	case isReadOnly(err):
		p.Code = "read_only"
	case durable.IsFull(err), isTooLarge(err):
		p.Code = "full"
	case errors.Is(err, fs.ErrPermission):
		p.Code = "denied"
	case isGone(err), errors.Is(err, fs.ErrNotExist):
		p.Code = "gone"
	}
	return p
}

// Results opens the folder of the results, and makes it if there is none. Nothing that is
// written through it goes anywhere else: the program runs as root, and the stick was in
// other hands. The error is a [*Problem].
func (k Kit) Results() (*os.Root, error) {
	stick, err := os.OpenRoot(k.Dir)
	if err != nil {
		return nil, Explain(err)
	}
	defer stick.Close()
	if err := stick.Mkdir(usbkit.ResultsDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, Explain(err)
	}
	is, err := stick.Lstat(usbkit.ResultsDir)
	if err == nil && !is.IsDir() {
		err = fmt.Errorf("%q is a link or a file, and no folder", usbkit.ResultsDir)
	}
	if err != nil {
		return nil, Explain(err)
	}
	dir, err := stick.OpenRoot(usbkit.ResultsDir)
	if err != nil {
		return nil, Explain(err)
	}
	opened, err := dir.Stat(".")
	if err == nil && !os.SameFile(is, opened) {
		err = fmt.Errorf("%q was put in place of another", usbkit.ResultsDir)
	}
	if err != nil {
		return nil, Explain(errors.Join(err, dir.Close()))
	}
	return dir, nil
}

// Try proves before anything is asked that the stick takes evidence: it writes a file,
// reads it, takes it away again, and looks at the room that is left, in bytes (-1: not known).
// The error is a [*Problem].
func (k Kit) Try() (free int64, err error) {
	dir, err := k.Results()
	if err != nil {
		return -1, err
	}
	defer dir.Close()
	name := "hozen-test-" + rand.Text() + ".tmp"
	content := []byte("hozen\n")
	if err := write(dir, name, content); err != nil {
		return -1, Explain(errors.Join(err, remove(dir, name)))
	}
	b, err := dir.ReadFile(name)
	if err = errors.Join(err, remove(dir, name)); err != nil {
		return -1, Explain(err)
	}
	if string(b) != string(content) {
		return -1, &Problem{Code: "other", Err: errors.New("what was written cannot be read back")}
	}
	n, err := durable.Free(filepath.Join(k.Dir, usbkit.ResultsDir))
	if err != nil {
		return -1, nil // a file system that does not say
	}
	free = int64(min(n, 1<<62))
	if need := least(k.Profile); free < need {
		return free, &Problem{Code: "full", Need: need, Free: free}
	}
	return free, nil
}

func write(dir *os.Root, name string, b []byte) error {
	f, err := dir.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func remove(dir *os.Root, name string) error {
	if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// statement is the probe of what the person said.
type statement struct{ line record.Kit }

// NewStatement returns the probe that puts a statement into the evidence.
func NewStatement(line record.Kit) probe.Probe { return &statement{line} }

func (*statement) Kind() artifact.Kind          { return artifact.KindKit }
func (*statement) Schema() string               { return record.SchemaKit }
func (*statement) Volatility() probe.Volatility { return probe.Machine }

// Acquire writes one line.
func (s *statement) Acquire(ctx context.Context, w probe.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.Write(&s.line)
}
