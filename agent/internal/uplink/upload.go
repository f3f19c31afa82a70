package uplink

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"hozen/agent/internal/spool"
	"hozen/internal/capability"
	"hozen/internal/custody"
	"hozen/internal/digest"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

const (
	chunkSize      = 256 << 10
	minUploadRetry = time.Second
	maxUploadRetry = time.Minute
)

// uploader hands the spool over during one session. Acquisitions that are still
// running have a worker of their own, so that a backlog never delays them.
type uploader struct {
	u      *Uplink
	client agentv1.AgentServiceClient
	ca     *x509.Certificate
	// understands is what the collector said that it does.
	understands capability.Number

	mu    sync.Mutex
	busy  map[string]bool
	retry map[string]*retry

	tooOld sync.Once
}

type retry struct {
	wait backoff
	at   time.Time
}

func newUploader(u *Uplink, c agentv1.AgentServiceClient, ca *x509.Certificate, understands capability.Number) *uploader {
	return &uploader{u: u, client: c, ca: ca, understands: understands, busy: map[string]bool{}, retry: map[string]*retry{}}
}

// run uploads until ctx ends.
func (up *uploader) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { up.work(ctx, spool.Live, make(chan struct{}, 1)) })
	// Two take turns in sending, so that the line is not idle while the collector syncs
	// and signs what the other has sent.
	line := make(chan struct{}, 1)
	wg.Go(func() { up.work(ctx, spool.Sealed, line) })
	wg.Go(func() { up.work(ctx, spool.Sealed, line) })
	wg.Wait()
}

// work uploads what is in that state, one after the other. While it picks and sends
// it holds the one place in line.
func (up *uploader) work(ctx context.Context, want spool.State, line chan struct{}) {
	uploaded := false
	for {
		select {
		case line <- struct{}{}:
		case <-ctx.Done():
			return
		}
		changed := up.u.cfg.Spool.Changed()
		acquisitionID, next := up.pick(want)
		leave := sync.OnceFunc(func() { <-line })
		if acquisitionID != "" {
			err := up.upload(ctx, acquisitionID, leave)
			if errors.Is(err, errGivenUp) {
				err = up.upload(ctx, acquisitionID, leave)
			}
			leave()
			uploaded = true
			up.put(acquisitionID, err)
			if err != nil && ctx.Err() == nil {
				up.u.cfg.Log.WarnContext(ctx, "evidence not handed over yet", slog.String("acquisition", acquisitionID), slog.Any("error", err))
			}
			continue
		}
		leave()
		if uploaded {
			uploaded = false
			debug.FreeOSMemory() // what uploads needed is not kept when no more follow
		}
		var timer <-chan time.Time
		if !next.IsZero() {
			timer = time.After(time.Until(next))
		}
		select {
		case <-changed:
		case <-timer:
		case <-ctx.Done():
		}
	}
}

// pick takes the oldest acquisition of that state whose time has come, or tells when
// the next one's comes.
func (up *uploader) pick(want spool.State) (acquisitionID string, next time.Time) {
	up.mu.Lock()
	defer up.mu.Unlock()
	now := time.Now()
	for _, i := range up.u.cfg.Spool.List() {
		if i.State != want || up.busy[i.AcquisitionID] {
			continue
		}
		if i.Sealed && up.understands < capability.Sealed {
			up.tooOld.Do(func() { up.u.cfg.Log.Warn("evidence that lies encrypted waits: this collector is too old to open it") })
			continue
		}
		if r := up.retry[i.AcquisitionID]; r != nil && now.Before(r.at) {
			if next.IsZero() || r.at.Before(next) {
				next = r.at
			}
			continue
		}
		up.busy[i.AcquisitionID] = true
		return i.AcquisitionID, time.Time{}
	}
	return "", next
}

// put gives an acquisition back after an attempt.
func (up *uploader) put(acquisitionID string, err error) {
	up.mu.Lock()
	defer up.mu.Unlock()
	delete(up.busy, acquisitionID)
	if err == nil {
		delete(up.retry, acquisitionID)
		return
	}
	r := up.retry[acquisitionID]
	if r == nil {
		r = &retry{wait: backoff{min: minUploadRetry, max: maxUploadRetry}}
		up.retry[acquisitionID] = r
	}
	r.at = time.Now().Add(r.wait.next())
}

// upload hands one acquisition over, as it grows, and keeps the collector's answer.
// It calls sent when only the answer is missing.
func (up *uploader) upload(ctx context.Context, acquisitionID string, sent func()) error {
	r, err := up.u.cfg.Spool.Open(acquisitionID)
	if errors.Is(err, spool.ErrUnknown) {
		return nil // it was given up meanwhile
	}
	if err != nil {
		return err
	}
	defer r.Close()
	r.HandOver()
	state, err := up.state(ctx, acquisitionID)
	if err != nil {
		return err
	}
	if state.GetReceipt() != nil {
		// When the collector has accepted other bytes under this name, these are sent all
		// the same: it refuses them, and both sides have that on record.
		if err := up.received(r, acquisitionID, state.GetReceipt()); !errors.Is(err, errOtherManifest) {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := up.client.Upload(ctx)
	if err != nil {
		return explain(err)
	}
	s := &sender{spool: up.u.cfg.Spool, r: r, stream: stream, have: map[string]*sentPart{}}
	for _, p := range state.GetParts() {
		s.have[p.GetName()] = &sentPart{size: int64(p.GetSize()), ended: p.GetComplete()}
	}
	err = s.run(ctx, acquisitionID)
	if errors.Is(err, errUnsigned) {
		return up.u.cfg.Spool.Refused(acquisitionID, err.Error())
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	sent()
	// io.EOF means that the collector has said its word before the end.
	m, err := stream.CloseAndRecv()
	if err != nil {
		return explain(err)
	}
	if err := wire.UploadResponse(m); err != nil {
		return fmt.Errorf("collector said something that is not allowed: %w", err)
	}
	if refusal := m.GetRefusal(); refusal != nil {
		return up.refused(ctx, acquisitionID, refusal)
	}
	return up.received(r, acquisitionID, m.GetReceipt())
}

func (up *uploader) state(ctx context.Context, acquisitionID string) (*agentv1.UploadStateResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	m, err := up.client.UploadState(ctx, &agentv1.UploadStateRequest{AcquisitionId: acquisitionID})
	if err != nil {
		return nil, explain(err)
	}
	return m, wire.UploadStateResponse(m)
}

// received checks a receipt and only then lets the spool have it.
func (up *uploader) received(r *spool.Reader, acquisitionID string, m *agentv1.Receipt) error {
	signed := custody.Signed{Payload: m.GetPayload(), Signature: m.GetSignature(), Certificate: m.GetCertificate()}
	receipt, err := custody.Verify(signed, up.ca)
	if err != nil {
		return fmt.Errorf("check receipt: %w", err)
	}
	if receipt.AcquisitionID != acquisitionID {
		return errors.New("check receipt: it is for another acquisition")
	}
	seal, ok, err := r.Seal()
	if err != nil {
		return fmt.Errorf("check receipt: %w", err)
	}
	if !ok || receipt.ManifestSHA256 != digest.Of(seal.Manifest).String() {
		return fmt.Errorf("check receipt: %w", errOtherManifest)
	}
	up.proof(&signed, receipt, m)
	b, err := custody.EncodeFile(signed)
	if err != nil {
		return err
	}
	return up.u.cfg.Spool.Receipt(acquisitionID, b)
}

// refused keeps a refusal. One without a known reason is not believed to be final.
func (up *uploader) refused(ctx context.Context, acquisitionID string, m *agentv1.Refusal) error {
	code := strings.ToLower(strings.TrimPrefix(m.GetCode().String(), "REFUSAL_CODE_"))
	if m.GetCode() == agentv1.RefusalCode_REFUSAL_CODE_UNSPECIFIED {
		return errors.New("collector refused the evidence without a reason")
	}
	up.u.cfg.Log.ErrorContext(ctx, "collector refused evidence", slog.String("acquisition", acquisitionID), slog.String("code", code))
	what := code
	for _, s := range []string{m.GetPart(), m.GetDetail()} {
		if s != "" {
			what += ": " + s
		}
	}
	return up.u.cfg.Spool.Refused(acquisitionID, what)
}

// sender sends what the spool holds of one acquisition.
type sender struct {
	spool  Spool
	r      *spool.Reader
	stream grpc.ClientStreamingClient[agentv1.UploadRequest, agentv1.UploadResponse]
	have   map[string]*sentPart
	open   string // part that was begun last
	buf    []byte
}

type sentPart struct {
	size  int64
	ended bool
	// next is where the file of a sealed part goes on, while it is sent.
	next int64
}

// errDropped ends the upload of an acquisition that has gone from the spool.
var errDropped = errors.New("the acquisition is not in the spool any more")

// errGivenUp ends an upload in the middle of a part that will not be in the manifest;
// the next attempt leaves it out.
var errGivenUp = errors.New("a part was given up")

// run sends everything up to the seal. io.EOF means that the collector has answered.
func (s *sender) run(ctx context.Context, acquisitionID string) error {
	s.buf = make([]byte, chunkSize)
	if err := s.send(&agentv1.UploadRequest{Step: &agentv1.UploadRequest_Begin{Begin: &agentv1.UploadBegin{AcquisitionId: acquisitionID}}}); err != nil {
		return err
	}
	for {
		changed := s.spool.Changed()
		seal, sealed, err := s.r.Seal() // before the parts: after it they grow no more
		if err != nil {
			return err
		}
		parts, err := s.r.Parts()
		if err != nil {
			return err
		}
		moved := false
		for _, p := range parts {
			m, err := s.part(p)
			if err != nil {
				return err
			}
			moved = moved || m
		}
		if s.open != "" && !slices.ContainsFunc(parts, func(p spool.PartInfo) bool { return p.Name == s.open }) {
			return errGivenUp
		}
		if moved {
			continue // until nothing is new: only then everything was sent
		}
		if sealed {
			cert, err := leaf(seal.CertPEM)
			if err != nil {
				return err
			}
			return s.send(&agentv1.UploadRequest{Step: &agentv1.UploadRequest_Seal{Seal: &agentv1.Seal{
				Manifest: seal.Manifest, Signature: seal.Signature, Certificate: cert,
			}}})
		}
		if s.r.Info().State == spool.Interrupted {
			return errDropped // its writer gave up; when it is sealed after all, it comes again
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stream.Context().Done():
			return io.EOF
		}
	}
}

// part sends what is new of one part, and its end.
func (s *sender) part(p spool.PartInfo) (moved bool, err error) {
	h := s.have[p.Name]
	if h == nil {
		h = &sentPart{}
		s.have[p.Name] = h
	}
	// A part is ended before the next begins; until then the others wait.
	if h.ended || s.open != "" && s.open != p.Name {
		return false, nil
	}
	if h.size > p.Size {
		h.size, s.open = 0, "" // bytes that did not survive a crash here; begin anew
	}
	if !p.Complete && !p.Sealed && h.size >= p.Size {
		return false, nil
	}
	if p.Sealed {
		if moved, err = s.sealed(p, h); err != nil || !moved && !p.Complete {
			return moved, err
		}
		return true, s.partEnd(p, h)
	}
	if s.open != p.Name {
		if err := s.send(&agentv1.UploadRequest{Step: &agentv1.UploadRequest_PartBegin{PartBegin: &agentv1.PartBegin{Name: p.Name, Offset: uint64(h.size)}}}); err != nil {
			return false, err
		}
		s.open = p.Name
	}
	if h.size, err = s.bytes(p, h.size, p.Size); err != nil {
		return false, err
	}
	return true, s.partEnd(p, h)
}

// sealed sends what is new of the file of a part that lies encrypted. Nothing here opens it:
// the collector does.
func (s *sender) sealed(p spool.PartInfo, h *sentPart) (moved bool, err error) {
	if s.open != p.Name {
		if !p.Complete && p.File < spool.SealedOffset(0, h.size+spool.SealedChunk) {
			return false, nil // nothing new that can be opened
		}
		envelope, err := s.r.Envelope(p.Name)
		if errors.Is(err, spool.ErrGone) {
			return false, errGivenUp
		}
		if err != nil {
			return false, err
		}
		if err := s.send(&agentv1.UploadRequest{Step: &agentv1.UploadRequest_PartBegin{PartBegin: &agentv1.PartBegin{
			Name: p.Name, Offset: uint64(h.size), Envelope: envelope,
		}}}); err != nil {
			return false, err
		}
		s.open, h.next = p.Name, spool.SealedOffset(len(envelope), h.size)
	}
	from := h.next
	h.next, err = s.bytes(p, from, p.File)
	return h.next > from, err
}

// bytes sends the bytes of a part's file from one place to another, and returns how far it
// came. A complete part whose file was cut off since is sent as far as it is there: its end
// says how long it was, so that the collector refuses it, and both sides have that on record.
func (s *sender) bytes(p spool.PartInfo, from, to int64) (int64, error) {
	for from < to {
		n, err := s.r.ReadAt(p.Name, s.buf[:min(int64(len(s.buf)), to-from)], from)
		if errors.Is(err, spool.ErrGone) {
			return from, errGivenUp
		}
		if n == 0 {
			if p.Complete && errors.Is(err, io.ErrUnexpectedEOF) {
				return from, nil
			}
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return from, fmt.Errorf("read %s: %w", p.Name, err)
		}
		if err := s.send(&agentv1.UploadRequest{Step: &agentv1.UploadRequest_Chunk{Chunk: s.buf[:n]}}); err != nil {
			return from, err
		}
		from += int64(n)
	}
	return from, nil
}

// partEnd ends a part that is complete.
func (s *sender) partEnd(p spool.PartInfo, h *sentPart) error {
	if p.Complete {
		sum := p.SHA256
		if err := s.send(&agentv1.UploadRequest{Step: &agentv1.UploadRequest_PartEnd{PartEnd: &agentv1.PartEnd{Size: uint64(p.Size), Sha256: sum[:]}}}); err != nil {
			return err
		}
		h.ended, s.open = true, ""
	}
	return nil
}

func (s *sender) send(m *agentv1.UploadRequest) error { return s.stream.Send(m) }

// leaf returns the first certificate of a PEM file as DER.
func leaf(pemBytes []byte) ([]byte, error) {
	cert, err := pki.ParseCertificatePEM(pemBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsigned, err)
	}
	return cert.Raw, nil
}

// errOtherManifest is the error of a receipt for other bytes than those in the spool.
var errOtherManifest = errors.New("it is for another manifest")

// errUnsigned is the error of an acquisition that carries no certificate: it was made
// before this agent was enrolled, and no collector can know whose it is.
var errUnsigned = errors.New("evidence was sealed without a certificate")
