package evidence

import (
	"bytes"
	"errors"
	"io"
	"os"

	"hozen/collector/internal/blob"
)

// vault is what encrypts parts while they arrive: that of the blobs' store, so that an ended
// part becomes a blob by its name alone; nil when the store keeps its blobs in the clear.
func (i *Intake) vault() blob.Vault {
	if s, ok := i.cfg.Blobs.(interface{ Vault() blob.Vault }); ok {
		return s.Vault()
	}
	return nil
}

// inflow opens a part that comes encrypted; nil for one that comes in the clear.
func (i *Intake) inflow(name string, envelope []byte, offset int64) (blob.Inflow, error) {
	if len(envelope) == 0 {
		return nil, nil
	}
	v := i.vault()
	if v == nil {
		return nil, refuse(OtherKey, name, "this collector has no keys")
	}
	f, err := v.Inflow(envelope, offset)
	switch {
	case errors.Is(err, blob.ErrOtherKey):
		return nil, refuse(OtherKey, name, "%v", err)
	case errors.Is(err, blob.ErrCorrupt):
		return nil, refuse(Malformed, name, "%v", err)
	}
	return f, err
}

// partSize is how many bytes of a part are in its file of n bytes. It is negative for what is
// no ended part.
func partSize(v blob.Vault, n int64, whole bool) int64 {
	if v == nil {
		return n
	}
	return v.Size(n, whole)
}

// hidden encrypts a small file where parts are encrypted.
func hidden(v blob.Vault, b []byte) ([]byte, error) {
	if v == nil {
		return b, nil
	}
	var out bytes.Buffer
	w, err := v.Begin(&out)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// shown is the inverse of hidden; what is JSON was written before there was a vault.
func shown(v blob.Vault, b []byte) ([]byte, error) {
	if v == nil || bytes.HasPrefix(b, []byte("{")) {
		return b, nil
	}
	r, err := v.Open(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// begin makes the writer's file an encrypted one, and reads what is in it when it is to be
// gone on with. A file that cannot be read is removed: the part begins anew. What arrives as
// the vault would have made it is kept so: that spares a thing as dear as hashing it.
func (w *partWriter) begin(v blob.Vault, in blob.Inflow, resume bool) (err error) {
	switch {
	case v == nil && resume:
		return w.readBack(w.f)
	case v == nil:
		return nil
	case !resume && in != nil:
		if w.sealed, err = in.Keep(w.f); w.sealed != nil || err != nil {
			return err
		}
		fallthrough
	case !resume:
		w.sealed, err = v.Begin(w.f)
		return err
	}
	w.sealed, err = v.Resume(w.f, w.take)
	if errors.Is(err, blob.ErrCorrupt) {
		err = errors.Join(ErrOffset, err, os.Remove(w.path))
	}
	return err
}
