package evidence

import (
	"context"
	"errors"
	"fmt"
	"os"

	"hozen/collector/internal/blob"
	"hozen/internal/crashpoint"
	"hozen/internal/digest"
)

// State tells what is there of an acquisition. When it was accepted, there is a
// receipt; when a crash came between proving and storing it, it is accepted now.
// The identifier of another endpoint's acquisition is a [*Refusal].
func (i *Intake) State(ctx context.Context, endpointID, acquisitionID string) (UploadState, error) {
	s, err := i.session(ctx, endpointID, acquisitionID)
	if err != nil {
		return UploadState{}, err
	}
	defer s.release()
	if s.hasSeal() {
		r, err := s.finish(ctx)
		if err != nil {
			return UploadState{}, i.record(ctx, endpointID, acquisitionID, err)
		}
		return UploadState{Receipt: &r}, nil
	}
	known, err := accepted(ctx, i.cfg.DB.Read(), acquisitionID)
	if err != nil {
		return UploadState{}, spaceError(err)
	}
	if known != nil && known.endpointID != endpointID {
		return UploadState{}, i.record(ctx, endpointID, acquisitionID, refuse(ForeignEndpoint, "", "the identifier belongs to another endpoint's acquisition"))
	}
	st := UploadState{Parts: s.states()}
	if known != nil {
		st.Receipt = &known.receipt
	}
	return st, nil
}

// Upload is one acquisition on its way in: for each part Part, Write…, EndPart, and
// last Seal; Close always. A call that fails with a [*Refusal] has dropped what was
// there, and the refusal is recorded; after any other error the upload is over too,
// but what was written stays and a new Upload can go on with it. It is not safe for concurrent use.
type Upload struct {
	ctx       context.Context // of the record of refusals
	s         *session
	part      *partWriter
	inflow    blob.Inflow // opens what arrives of part; nil: it comes in the clear
	unchecked int64       // bytes written since the disk was last asked for room
	over      error       // why nothing more is taken
	closed    bool
}

// roomEvery is how many bytes are written between two questions for free space.
const roomEvery = 16 << 20

// Begin begins or goes on with an upload. Another upload of the same acquisition
// that is still open, for example on a dead connection, ends with [ErrSuperseded].
func (i *Intake) Begin(ctx context.Context, endpointID, acquisitionID string) (_ *Upload, err error) {
	if err := i.enter(endpointID); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			i.leave(endpointID)
		}
	}()
	s, err := i.session(ctx, endpointID, acquisitionID)
	if err != nil {
		return nil, err
	}
	if s.hasSeal() {
		// Proven before a crash: its bytes are the collector's now. The same ones may
		// come again and get the receipt.
		if _, err := s.finish(ctx); err != nil {
			err = i.record(ctx, endpointID, acquisitionID, err)
			s.release()
			return nil, err
		}
	}
	if s.owner != nil {
		s.owner.drop()
		s.owner.over = ErrSuperseded
	}
	u := &Upload{ctx: context.WithoutCancel(ctx), s: s}
	s.owner = u
	s.unlock() // Close releases
	return u, nil
}

// do runs f with the session locked, as long as the upload is the session's.
func (u *Upload) do(ctx context.Context, f func() error) error {
	if err := u.s.acquireLock(ctx); err != nil {
		return err
	}
	defer u.s.unlock()
	if u.over != nil {
		return u.over
	}
	err := spaceError(f())
	if err == nil {
		return nil
	}
	u.over = err
	u.drop()
	if r, ok := errors.AsType[*Refusal](err); ok {
		if cerr := u.s.clear(); cerr != nil {
			err = errors.Join(r, cerr)
		}
		_ = u.s.i.record(ctx, u.s.endpointID, u.s.acquisitionID, r) // returns r
	}
	return err
}

// Part begins a part, or goes on with it at the offset that [Intake.State] told.
// Beginning at 0 forgets what was there. Of a part that comes encrypted envelope is the
// beginning of its file, as [blob.Vault] Inflow wants it; offset, and what EndPart is told, speak
// of what is in the file. A part that is encrypted to another key is a [*Refusal].
func (u *Upload) Part(name string, offset int64, envelope []byte) error {
	return u.do(u.ctx, func() error {
		_, _, err := ParsePartName(name)
		s := u.s
		switch {
		case err != nil:
			return refuse(Malformed, "", "%v", err)
		case u.part != nil:
			return refuse(Malformed, name, "part %s was not ended", u.part.name)
		case offset < 0:
			return refuse(Malformed, name, "offset %d", offset)
		case s.parts[name] == nil && len(s.parts) >= maxParts:
			return refuse(TooLarge, name, "more than %d parts", maxParts)
		}
		if err := errors.Join(s.i.room(), s.i.allow(u.ctx, s.endpointID)); err != nil {
			return err
		}
		if u.inflow, err = s.i.inflow(name, envelope, offset); err != nil {
			return err
		}
		if err := s.i.newFolder(s); err != nil {
			return err
		}
		if offset == 0 {
			if err := s.removePart(name); err != nil {
				return err
			}
		}
		w, err := openPart(s.i.vault(), u.inflow, s.dir, name, offset, s.i.step)
		if err != nil {
			return fmt.Errorf("begin part: %w", err)
		}
		u.part = w
		s.parts[name] = &partInfo{size: w.size}
		return nil
	})
}

// Write appends bytes to the part. The intake goes on reading chunk: the caller must not
// change it until [Held] others were written.
func (u *Upload) Write(chunk []byte) error {
	return u.do(u.ctx, func() error {
		if u.part == nil {
			return refuse(Malformed, "", "bytes outside of a part")
		}
		if u.inflow != nil {
			return u.opened(u.inflow.Take(chunk, u.write))
		}
		return u.write(chunk)
	})
}

// opened makes a refusal of what an endpoint's file does not open to: its disk, or somebody,
// changed it.
func (u *Upload) opened(err error) error {
	if errors.Is(err, blob.ErrCorrupt) {
		return refuse(DigestMismatch, u.part.name, "what arrived encrypted cannot be opened: %v", err)
	}
	return err
}

// write appends clear bytes.
func (u *Upload) write(chunk []byte) error {
	i, name := u.s.i, u.part.name
	n := int64(len(chunk))
	if u.part.size+n > i.cfg.MaxPart {
		return refuse(TooLarge, name, "more than %d bytes", i.cfg.MaxPart)
	}
	if err := i.charge(u.s.endpointID, n); err != nil {
		return err
	}
	if u.unchecked += n; u.unchecked >= roomEvery {
		u.unchecked = 0
		if err := errors.Join(i.room(), i.allow(u.ctx, u.s.endpointID)); err != nil {
			return errors.Join(err, i.charge(u.s.endpointID, -n))
		}
	}
	i.arrived(u.s.endpointID, n)
	before := u.part.size
	err := u.part.write(chunk)
	u.s.parts[name].size = u.part.size
	if err != nil {
		err = errors.Join(fmt.Errorf("write part: %w", err), i.charge(u.s.endpointID, u.part.size-before-n))
		if u.part.broken {
			err = errors.Join(err, u.s.removePart(name))
		}
	}
	return err
}

// EndPart ends the part, which must have had that size and SHA-256. Bytes that went
// bad between two connections are dropped with [ErrOffset]; others are refused.
func (u *Upload) EndPart(size int64, sha256 []byte) error {
	return u.do(u.ctx, func() error {
		if u.part == nil {
			return refuse(Malformed, "", "end of a part outside of one")
		}
		if len(sha256) != len(digest.Digest{}) {
			return refuse(Malformed, u.part.name, "a digest of %d bytes", len(sha256))
		}
		if u.inflow != nil {
			if err := u.opened(u.inflow.Close(u.write)); err != nil {
				return err
			}
		}
		w, s := u.part, u.s
		u.part, u.inflow = nil, nil
		p, err := w.end()
		if err != nil {
			return fmt.Errorf("end part: %w", err)
		}
		if p.size != size || p.stored != digest.Digest(sha256) {
			if w.resumed {
				return errors.Join(fmt.Errorf("%w: what was stored of %s before is not right any more", ErrOffset, w.name), s.removePart(w.name))
			}
			return refuse(DigestMismatch, w.name, "%d bytes with SHA-256 %s arrived, %d with %x were announced", p.size, p.stored, size, sha256)
		}
		if p.unread != nil {
			return refuse(Malformed, w.name, "cannot be decompressed: %v", p.unread)
		}
		return s.i.step(crashpoint.EvidencePartEnded, func() error {
			if err := os.Rename(w.path, partPath(s.dir, w.name, ended)); err != nil {
				return fmt.Errorf("end part: %w", err)
			}
			s.parts[w.name] = &partInfo{size: p.size, ended: true, proof: &p}
			return nil
		})
	})
}

// drop closes an open part and leaves its bytes for another upload.
func (u *Upload) drop() {
	if u.part == nil {
		return
	}
	kept := u.part.leave()
	if p := u.s.parts[u.part.name]; p != nil && p.size > kept {
		_ = u.s.i.charge(u.s.endpointID, kept-p.size) // giving back does not fail
		p.size = kept
	}
	u.part, u.inflow = nil, nil
}

// Close ends the upload; what was not sealed can be gone on with later.
func (u *Upload) Close() {
	if u.closed {
		return
	}
	u.closed = true
	u.s.lock <- struct{}{} // nobody holds it for long
	u.drop()
	if u.over == nil {
		u.over = errors.New("the upload is closed")
	}
	if u.s.owner == u {
		u.s.owner = nil
	}
	u.s.release()
	u.s.i.leave(u.s.endpointID)
}
