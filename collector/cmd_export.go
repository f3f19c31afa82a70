package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hozen/collector/internal/act"
	"hozen/collector/internal/localapi"
	"hozen/internal/digest"
	"hozen/internal/durable"
	"hozen/internal/envelope"
)

const exportLong = `Write the evidence package of an incident: one zip with the sealed evidence, readable
copies, the files that people sent, the entries of the custody ledger with their proofs,
and a README that says how to check it. Who gets it and why are asked for and stay in the
custody ledger, as does the SHA-256 of what was written.

The package holds what the collector has now. --again writes an earlier package again, with
the same bytes.

With --split the zip is cut into pieces FILE.001, FILE.002 …; put together in this order
(cat, copy /b, 7-Zip) they are the zip. FILE.sha256 lists their SHA-256 for sha256sum -c, and
hozen-verify reads the pieces as they are.

With --recipient the zip is encrypted on its way to the disk, as FILE.age, in the age format:
whoever has the secret key opens it with "age -d -i KEYFILE FILE.age > FILE". FILE.age.sha256
lists the SHA-256 of FILE.age and of the zip in it; the ledger keeps both, and the public key.`

// maxSplit bounds the number of pieces; their names have three digits.
const maxSplit = 999

func (c *cli) incidentExportCmd() *cobra.Command {
	var in localapi.ExportOrder
	var out, again, split string
	var keys []string
	cmd := &cobra.Command{Use: "export INCIDENT --out FILE --to RECIPIENT --purpose TEXT", Short: "Write the evidence package of an incident", Long: exportLong,
		Args: cobra.MaximumNArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			most, err := pieceSize(split)
			if err != nil {
				return &usageError{err}
			}
			switch {
			case out == "":
				return &usageError{errors.New("--out is needed: where to write the package")}
			case again != "" && (len(args) > 0 || in.Recipient+in.Purpose != "" || len(in.Endpoints)+len(in.Profiles) > 0 || in.LeaveUploads):
				return &usageError{errors.New("--again writes an earlier package as it was; it takes --out, --split and --recipient alone")}
			case again == "" && (len(args) != 1 || in.Recipient == "" || in.Purpose == ""):
				return &usageError{errors.New("name the incident, --to (who gets the package) and --purpose (why)")}
			}
			if _, err := act.ParseRecipients(keys); err != nil {
				return &hinted{err, "hint.recipient"}
			}
			if len(keys) > 0 && !strings.HasSuffix(out, envelope.Suffix) {
				out += envelope.Suffix
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			var x localapi.Export
			if again != "" {
				err = cl.Call(cmd.Context(), "export.show", localapi.Ref{Ref: again}, &x)
			} else {
				// Nothing is ordered that could not be written.
				if err := absent(out, most, keys); err != nil {
					return err
				}
				in.Incident = args[0]
				err = cl.Call(cmd.Context(), "export.order", in, &x)
			}
			if err != nil {
				return err
			}
			return c.writeExport(cmd.Context(), cl, x, out, most, keys)
		}}
	f := cmd.Flags()
	f.StringVarP(&out, "out", "o", "", "`file` to make; it must not exist")
	f.StringVar(&in.Recipient, "to", "", "who gets the package, such as a police department")
	f.StringVar(&in.Purpose, "purpose", "", "why it is handed over")
	f.StringArrayVar(&in.Endpoints, "host", nil, "only about this `endpoint`; may be repeated")
	f.StringArrayVar(&in.Profiles, "profile", nil, "only acquisitions of this `profile`; may be repeated")
	f.BoolVar(&in.LeaveUploads, "no-uploads", false, "without the bytes of files that people sent (logs of a router, photographs); they are named")
	f.StringArrayVar(&keys, "recipient", nil, "encrypt to this age public `key`, age1…; may be repeated")
	f.StringVar(&split, "split", "", "cut into pieces of at most this `size`, such as 4GB or 650MB")
	f.StringVar(&again, "again", "", "write this earlier `package` again, such as INC-2026-0007-P01")
	return cmd
}

func (c *cli) incidentExportsCmd() *cobra.Command {
	return &cobra.Command{Use: "exports INCIDENT", Short: "List the evidence packages of an incident", Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var list []localapi.Export
			if err := c.call(cmd.Context(), "export.list", localapi.Ref{Ref: args[0]}, &list); err != nil {
				return err
			}
			return c.print(list, func() {
				var rows [][]string
				for _, x := range list {
					rows = append(rows, []string{x.Number, when(x.At), x.By, x.Recipient, x.Purpose, size(x.Size), cmp.Or(x.SHA256, "-")})
				}
				c.list("export", []string{"number", "at", "by", "recipient", "purpose", "size", "sha256"}, rows)
			})
		}}
}

// pieceSize reads a size such as 4GB; MB = 10⁶ bytes. Empty means no pieces: 0.
func pieceSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	number := strings.TrimRight(strings.ToUpper(s), "BGMK")
	unit := map[string]int64{"": 1, "B": 1, "KB": 1000, "MB": 1e6, "GB": 1e9, "K": 1000, "M": 1e6, "G": 1e9}[strings.ToUpper(s)[len(number):]]
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || unit == 0 || n < 1 || n > (1<<62)/unit || n*unit < 100_000 {
		return 0, errors.New("--split: want a size of at least 100KB, such as 4GB or 650MB")
	}
	return n * unit, nil
}

// absent refuses to write over what is there.
func absent(out string, most int64, keys []string) error {
	names := []string{out}
	if most > 0 {
		names = []string{out + ".001", out + ".sha256"}
	} else if len(keys) > 0 {
		names = []string{out, out + ".sha256"}
	}
	for _, n := range names {
		if _, err := os.Lstat(n); err == nil {
			return &usageError{fmt.Errorf("%s exists already; nothing was written", n)}
		}
	}
	if _, err := os.Stat(filepath.Dir(out)); err != nil {
		return &usageError{fmt.Errorf("--out: %w", err)}
	}
	return nil
}

// exported is what is printed of a package that was written.
type exported struct {
	localapi.Export
	File   string   `json:"file"`
	Pieces []string `json:"pieces,omitempty"`
	// EncryptedSHA256 and EncryptedSize are of the file; the others are of the zip in it.
	EncryptedSHA256 string `json:"encrypted_sha256,omitempty"`
	EncryptedSize   int64  `json:"encrypted_size,omitempty"`
}

func (c *cli) writeExport(ctx context.Context, cl *localapi.Client, x localapi.Export, out string, most int64, keys []string) (err error) {
	if err := absent(out, most, keys); err != nil {
		return err
	}
	w := &pieceWriter{name: out, most: most}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.discard())
		}
	}()
	whole := digest.NewWriter(w)
	p := &progress{w: whole, out: newLiveLine(c.std.err), say: func(n int64) string {
		return c.sentence("export.progress", "number", x.Number, "size", size(n))
	}, quiet: c.json}
	err = cl.Pour(ctx, "export.write", localapi.ExportWrite{Ref: x.ID, RecipientKeys: keys}, p)
	p.out.clear()
	if err == nil {
		err = cl.Call(ctx, "export.show", localapi.Ref{Ref: x.ID}, &x)
	}
	sum := whole.Sum().String()
	if err == nil && len(keys) == 0 && sum != x.SHA256 {
		err = fmt.Errorf("what was written has the SHA-256 %s, the collector recorded %s", sum, x.SHA256)
	}
	if err == nil && len(keys) > 0 {
		err = w.note(x.SHA256, strings.TrimSuffix(out, envelope.Suffix))
	}
	if err == nil {
		err = w.end()
	}
	if err != nil {
		return fmt.Errorf("write package %s: %w", x.Number, err)
	}
	said := exported{Export: x, File: out, Pieces: w.pieces()}
	if len(keys) > 0 {
		said.EncryptedSHA256, said.EncryptedSize = sum, whole.Size()
	}
	return c.print(said, func() {
		c.say("export.done", "number", x.Number, "file", w.first(), "size", size(x.Size), "sha256", x.SHA256)
		if len(keys) > 0 {
			c.say("export.encrypted", "sha256", sum, "file", filepath.Base(out), "zip", strings.TrimSuffix(filepath.Base(out), envelope.Suffix))
		}
		if n := len(w.pieces()); n > 0 {
			c.say("export.pieces", "n", itoa(n), "list", out+".sha256")
		}
		if len(keys) == 0 {
			c.say("export.check", "file", w.first())
		}
	})
}

// progress tells how much was written, at most twice a second, on a terminal alone.
type progress struct {
	w     *digest.Writer
	out   *liveLine
	say   func(n int64) string
	n     int64
	at    time.Time
	quiet bool
}

func (p *progress) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.n += int64(n)
	if now := time.Now(); !p.quiet && p.out.live && now.Sub(p.at) > 500*time.Millisecond {
		p.at = now
		p.out.show(p.say(p.n))
	}
	return n, err
}

// pieceWriter writes one file, or pieces of at most most bytes, durably.
type pieceWriter struct {
	name string
	most int64 // 0: one file
	f    *os.File
	sum  *digest.Writer
	left int64
	made []string
	list strings.Builder // of pieces, as sha256sum writes it
	last string          // line that ends the list, which is then written for one file too
}

// note adds what the file holds to the list.
func (w *pieceWriter) note(sum, name string) error {
	w.last = fmt.Sprintf("%s  %s\n", sum, filepath.Base(name))
	return w.finish()
}

func (w *pieceWriter) Write(b []byte) (int, error) {
	n := 0
	for len(b) > 0 {
		if w.f == nil || w.most > 0 && w.left == 0 {
			if err := w.next(); err != nil {
				return n, err
			}
		}
		part := b
		if w.most > 0 {
			part = b[:min(int64(len(b)), w.left)]
		}
		m, err := w.sum.Write(part)
		n, b, w.left = n+m, b[m:], w.left-int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (w *pieceWriter) next() error {
	if err := w.finish(); err != nil {
		return err
	}
	name := w.name
	if w.most > 0 {
		if len(w.made) == maxSplit {
			return fmt.Errorf("more than %d pieces: choose a larger --split", maxSplit)
		}
		name = fmt.Sprintf("%s.%03d", w.name, len(w.made)+1)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w.f, w.sum, w.left = f, digest.NewWriter(f), w.most
	w.made = append(w.made, name)
	return nil
}

// finish ends the file that is open.
func (w *pieceWriter) finish() error {
	if w.f == nil {
		return nil
	}
	err := errors.Join(w.f.Sync(), w.f.Close())
	w.f = nil
	fmt.Fprintf(&w.list, "%s  %s\n", w.sum.Sum(), filepath.Base(w.made[len(w.made)-1]))
	return err
}

func (w *pieceWriter) end() error {
	if err := w.finish(); err != nil || w.most == 0 && w.last == "" {
		return err
	}
	if err := durable.CreateFile(w.name+".sha256", []byte(w.list.String()+w.last), 0o600); err != nil {
		return err
	}
	if w.most > 0 {
		w.made = append(w.made, w.name+".sha256")
	}
	return nil
}

// discard removes what was written of a package that is not whole.
func (w *pieceWriter) discard() error {
	var errs []error
	if w.f != nil {
		errs = append(errs, w.f.Close())
	}
	for _, n := range w.made {
		errs = append(errs, os.Remove(n))
	}
	return errors.Join(errs...)
}

func (w *pieceWriter) first() string { return w.made[0] }

// pieces are the names of the pieces, none when there is one file.
func (w *pieceWriter) pieces() []string {
	if w.most == 0 {
		return nil
	}
	return w.made[:len(w.made)-1]
}
