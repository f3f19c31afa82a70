package export

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// writer is one package being written.
type writer struct {
	ctx          context.Context
	p            *Package
	src          Source
	bag          *bag
	dec          *zstd.Decoder
	ioc          *observed
	doc          document
	mostTimeline int64  // bytes of timeline.jsonl, at most
	held         []byte // room for one small artifact
	sheet        table  // room for its table
	hostnames    map[string]string
	unpacked     int // originals so far
}

// Write writes the package to w. It holds no artifact in memory but small ones, one at a
// time. Bytes of evidence that are not what the record says end it with an error. Lines that are not what they should be
// don't: an endpoint writes them, and no endpoint may keep the evidence of others back. Such
// an artifact goes in sealed, and the reason why there is no readable copy is told.
func Write(ctx context.Context, w io.Writer, p *Package, src Source) error {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20),
		zstd.IgnoreChecksum(true)) // as the intake read it: SHA-256 is checked instead
	if err != nil {
		return fmt.Errorf("write package: %w", err)
	}
	defer dec.Close()
	x := &writer{ctx: ctx, p: p, src: src, bag: newBag(ctx, w, p.Number, p.At), dec: dec, ioc: newObserved(), mostTimeline: maxTimeline}
	defer x.bag.giveUp()
	x.doc = documentOf(p)
	for _, step := range []func() error{x.custody, x.hosts, x.incident, x.iocs, x.index, x.timeline, x.uploads} {
		if err := step(); err != nil {
			return fmt.Errorf("write package %s: %w", p.Number, err)
		}
	}
	readmes, err := x.readmes()
	if err != nil {
		return fmt.Errorf("write package %s: %w", p.Number, err)
	}
	return x.bag.close(x.info, readmes)
}

// document is data/package.json.
type document struct {
	Format       string    `json:"format"`
	ID           string    `json:"id"`
	Number       string    `json:"number"`
	IncidentID   string    `json:"incident_id"`
	Incident     string    `json:"incident_number"`
	Organisation string    `json:"organisation_id"`
	OrderedAt    string    `json:"ordered_at"`
	OrderedBy    who       `json:"ordered_by"`
	Recipient    string    `json:"recipient"`
	Purpose      string    `json:"purpose"`
	Scope        scope     `json:"scope"`
	Ledger       ledgerAt  `json:"ledger"`
	Tool         Tool      `json:"tool"`
	CASHA256     string    `json:"ca_sha256"`
	Hosts        []docHost `json:"hosts"`
	Uploads      []Upload  `json:"uploads,omitempty"`
}

type who struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

type scope struct {
	Hosts    []string `json:"hosts"`
	Profiles []string `json:"profiles"`
	LeftOut  LeftOut  `json:"left_out"`
}

type ledgerAt struct {
	Size       int64  `json:"size"`
	Root       string `json:"root_sha256"`
	Checkpoint bool   `json:"checkpoint"`
	Timestamp  bool   `json:"timestamp,omitempty"`
	Cosigned   bool   `json:"cosigned,omitempty"`
}

type docHost struct {
	Host
	Acquisitions []docAcquisition `json:"acquisitions"`
}

type docAcquisition struct {
	ID string `json:"id"`
	// DisposedBy is the entry of the ledger by which its bytes were disposed of.
	DisposedBy *int64    `json:"disposed_by,omitempty"`
	Evidence   []docItem `json:"evidence"`
	acq        *Acquisition
	probes     []Probe
	tool       string
}

type docItem struct {
	Number string `json:"number"`
	Name   string `json:"name"`
	Lines  string `json:"lines,omitempty"` // decoded file, below the host's folder
	Table  string `json:"table,omitempty"`
	Bytes  string `json:"bytes,omitempty"`
	Why    string `json:"not_decoded,omitempty"`
}

func documentOf(p *Package) document {
	d := document{
		Format: Format, ID: p.ID, Number: p.Number, IncidentID: p.IncidentID, Incident: p.Frozen.Incident.Number, Organisation: p.OrganisationID,
		OrderedAt: stamp(p.At), OrderedBy: who{p.ActorKind, p.ActorID, p.ActorName}, Recipient: p.Recipient, Purpose: p.Purpose,
		Scope:  scope{listed(p.Hosts), listed(p.Profiles), LeftOut{listed(p.Frozen.LeftOut.Hosts), p.Frozen.LeftOut.Acquisitions}},
		Ledger: ledgerAt{p.LedgerSize, p.LedgerRoot, p.Checkpoint != "", len(p.Stamp) > 0, p.Cosigned != ""}, Tool: p.Frozen.Tool, CASHA256: p.Frozen.CASHA256, Hosts: []docHost{},
		Uploads: p.Frozen.Uploads,
	}
	for _, h := range p.Frozen.Hosts {
		dh := docHost{Host: h, Acquisitions: []docAcquisition{}}
		for i := range p.Acquisitions {
			if a := &p.Acquisitions[i]; a.EndpointID == h.EndpointID {
				dh.Acquisitions = append(dh.Acquisitions, docAcquisition{ID: a.ID, DisposedBy: a.DisposedBy, Evidence: []docItem{}, acq: a})
			}
		}
		slices.SortFunc(dh.Acquisitions, func(a, b docAcquisition) int { return strings.Compare(a.ID, b.ID) })
		d.Hosts = append(d.Hosts, dh)
	}
	slices.SortFunc(d.Hosts, func(a, b docHost) int { return strings.Compare(a.Folder+"/", b.Folder+"/") }) // as the names of their files go
	return d
}

func listed(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func (x *writer) json(name string, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	return x.bag.text(name, b)
}

func (x *writer) hosts() error {
	for i := range x.doc.Hosts {
		h := &x.doc.Hosts[i]
		if err := x.bodyfile(h); err != nil {
			return err
		}
		for j := range h.Acquisitions {
			if err := x.decoded(h, &h.Acquisitions[j]); err != nil {
				return err
			}
		}
		if err := x.originals(h); err != nil {
			return err
		}
		for j := range h.Acquisitions {
			if err := x.sealed(h, &h.Acquisitions[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

// sealed writes an acquisition exactly as it was received.
func (x *writer) sealed(h *docHost, a *docAcquisition) error {
	s, err := x.src.Sealed(x.ctx, a.ID)
	if err != nil {
		return err
	}
	a.probes, a.tool = s.Probes, s.Tool
	folder := "hosts/" + h.Folder + "/sealed/" + a.ID + "/"
	for _, it := range byName(a.acq.Items) {
		if a.DisposedBy != nil {
			break
		}
		if !strings.HasPrefix(it.Name, "artifacts/") || path.Clean(it.Name) != it.Name {
			return fmt.Errorf("%s: %q is no name of an artifact", it.Number, it.Name)
		}
		sum, err := x.bag.data(folder+it.Name, zip.Store, func(w io.Writer) error {
			f, err := x.src.Open(x.ctx, it.StoredSHA256)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{f}, x.bag.block)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", it.Number, err)
		}
		if sum != it.StoredSHA256 {
			return fmt.Errorf("%s: the stored bytes have the SHA-256 %s, not %s that was accepted", it.Number, sum, it.StoredSHA256)
		}
	}
	names := make([]string, 0, len(s.Files))
	for n := range s.Files {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if err := x.bag.text(folder+n, s.Files[n]); err != nil {
			return err
		}
	}
	return nil
}

func (x *writer) incident() error {
	lines := x.p.Timeline
	if lines == nil {
		lines = []Line{}
	}
	return x.json("incident.json", struct {
		Format       string `json:"format"`
		Organisation string `json:"organisation"`
		Incident
		LeftOut  Elsewhere `json:"left_out,omitzero"`
		Timeline []Line    `json:"timeline"`
	}{"hozen-incident/1", x.p.Frozen.Organisation, x.p.Frozen.Incident, x.p.Frozen.Elsewhere, lines})
}

// index writes data/package.json.
func (x *writer) index() error { return x.json("package.json", x.doc) }

// info is bag-info.txt.
func (x *writer) info(octets, streams int64) []byte {
	var b strings.Builder
	line := func(label, value string) { fmt.Fprintf(&b, "%s: %s\n", label, oneLine(value)) }
	line("Source-Organization", x.p.Frozen.Organisation)
	line("External-Identifier", x.p.Number)
	line("Internal-Sender-Identifier", x.p.ID)
	line("External-Description", "evidence package of incident "+x.p.Frozen.Incident.Number)
	line("Bagging-Date", x.p.At.UTC().Format("2006-01-02"))
	line("Bag-Software-Agent", strings.TrimSpace(x.p.Frozen.Tool.Name+" "+x.p.Frozen.Tool.Version))
	line("Payload-Oxum", fmt.Sprintf("%d.%d", octets, streams))
	return []byte(b.String())
}

// oneLine keeps a text within its line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 }), " ")
}

// Digest hashes and counts what is written through it.
type Digest struct {
	w io.Writer
	h hash.Hash
	n int64
}

// NewDigest returns a writer to w that knows the SHA-256 of what passed.
func NewDigest(w io.Writer) *Digest { return &Digest{w: w, h: sha256.New()} }

func (d *Digest) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	d.n += int64(n)
	d.h.Write(p[:n])
	return n, err
}

// Sum returns the SHA-256 so far, hexadecimal.
func (d *Digest) Sum() string { return hex.EncodeToString(d.h.Sum(nil)) }

// Size returns the number of bytes so far.
func (d *Digest) Size() int64 { return d.n }
