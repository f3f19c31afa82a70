package act

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"hozen/collector/internal/export"
	"hozen/internal/envelope"
)

// MaxRecipients bounds how many public keys one package is encrypted to.
const MaxRecipients = 16

// ParseRecipients reads the public keys that a package is encrypted to.
func ParseRecipients(texts []string) ([]envelope.Recipient, error) {
	if len(texts) > MaxRecipients {
		return nil, &Invalid{Field: "recipient_key", Code: "range", Err: errors.New("at most 16 public keys")}
	}
	var to []envelope.Recipient
	for _, s := range texts {
		r, err := envelope.ParseRecipient(s)
		if err == nil && len(to) > 0 && r.PostQuantum() != to[0].PostQuantum() {
			err = envelope.ErrMixed
		}
		if err != nil {
			return nil, &Invalid{Field: "recipient_key", Code: "malformed", Err: err}
		}
		to = append(to, r)
	}
	return to, nil
}

// WriteExportTo is [Acts.WriteExport] whose bytes are encrypted to public keys on their way
// to w, so that the package lies nowhere in the clear. To whom, and the SHA-256 of both forms,
// is in the ledger after the last byte.
func (s *Acts) WriteExportTo(ctx context.Context, a Actor, idOrNumber string, to []envelope.Recipient, w io.Writer) (export.Record, error) {
	out := export.NewDigest(w)
	sealed := &sealing{w: out, to: to}
	r, err := s.WriteExport(ctx, a, idOrNumber, sealed)
	if err == nil {
		err = sealed.close()
	}
	if err != nil {
		return r, err
	}
	names := make([]string, len(to))
	for i, k := range to {
		names[i] = k.String()
	}
	return r, s.write(ctx, a, mayExport, func(ctx context.Context, d *deed) error {
		_, err := d.record(ctx, "export.encrypted", r.ID, map[string]string{"number": r.Number, "sha256": r.SHA256, "encrypted_sha256": out.Sum(),
			"encrypted_bytes": strconv.FormatInt(out.Size(), 10), "age_recipients": strings.Join(names, " ")})
		return err
	})
}

// sealing begins the encrypted file with the first byte, so that what fails before it can
// still be answered.
type sealing struct {
	w  io.Writer
	to []envelope.Recipient
	in io.WriteCloser
}

func (s *sealing) Write(b []byte) (int, error) {
	if s.in == nil {
		var err error
		if s.in, err = envelope.Seal(s.w, s.to...); err != nil {
			return 0, err
		}
	}
	return s.in.Write(b)
}

func (s *sealing) close() error {
	if s.in == nil {
		return errors.New("encrypt package: nothing was written")
	}
	return s.in.Close()
}
