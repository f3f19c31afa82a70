package act

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/kit"
	"hozen/collector/internal/ledger"
	"hozen/internal/artifact/record"
	"hozen/internal/digest"
	"hozen/internal/durable"
	"hozen/internal/id"
	"hozen/internal/usbkit"
)

// ImportOrder asks for what is on a stick.
type ImportOrder struct {
	IncidentID    string   // or number; empty: that of the kit
	ReceiptCodes  []string // as they stand on paper
	AcceptForeign bool     // take in what was not acquired with a kit of ours
}

// What became of an acquisition on a stick.
const (
	ImportTaken      = "imported"
	ImportAlready    = "already"    // it was taken in before
	ImportRefused    = "refused"    // for the problems that are told
	ImportUnfinished = "unfinished" // it was broken off before it was signed
)

// How an endpoint was found for an acquisition.
const (
	MatchNew    = "new"        // it became known by this
	MatchID     = "machine_id" // the acquisition claims the machine identifier of that endpoint
	MatchBefore = "before"     // the same acquisition was being taken in before
)

// Imported is what came of a stick.
type Imported struct {
	KitID    string
	Ours     bool // the document on the stick is of a kit that was made here
	Problems []kit.Problem
	Results  []ImportedResult
}

// ImportedResult is what became of one acquisition.
type ImportedResult struct {
	AcquisitionID string
	State         string
	Problems      []kit.Problem
	Parts         []string // of an unfinished one: what is there
	EndpointID    string
	Endpoint      string // what people call it
	Match         string // how the endpoint was found
	Incident      string // number
	Items         int
	ReceiptCode   string // only when it was compared
	CodeCompared  bool
	Foreign       bool
	Statement     *record.Kit
}

// Wrong reports whether anything is not as it should be.
func (i Imported) Wrong() bool {
	return len(i.Problems) > 0 || slices.ContainsFunc(i.Results, func(r ImportedResult) bool { return r.State == ImportRefused || r.State == ImportUnfinished })
}

// The codes of problems that only the collector can see.
const (
	problemForeign = "foreign_kit"
	problemTool    = "tool"
	problemTaken   = "conflict"
	problemBegun   = "begun" // its import was begun into another incident
)

// ErrReceiptCode means that a code that stands on paper is of nothing on the stick. Nothing
// was taken in.
var ErrReceiptCode = errors.New("the receipt code fits nothing on the stick")

// ImportKit takes in what is on a stick, which comes as a zip. What is in order is taken in;
// what is not is named and left. The same stick again changes nothing.
func (s *Acts) ImportKit(ctx context.Context, a Actor, o ImportOrder, stick io.Reader) (Imported, error) {
	if err := a.person(); err != nil {
		return Imported{}, err
	}
	var out Imported
	if s.kits == nil {
		return out, errNoKits
	}
	a, err := s.identify(ctx, s.db.Read(), a, mayAcquire)
	if err != nil {
		return out, err
	}
	codes := map[string]bool{} // code → fitted
	for _, c := range o.ReceiptCodes {
		code, err := usbkit.ParseReceiptCode(c)
		if err != nil {
			return out, &Invalid{Field: "receipt_code", Code: "malformed", Err: err}
		}
		codes[code] = false
	}
	if o.IncidentID != "" { // before anything is read that takes long
		inc, err := incident.FindBare(ctx, s.db.Read(), a.OrganisationID, o.IncidentID)
		if err != nil {
			return out, known(err)
		}
		o.IncidentID = inc.ID
	}
	dir, err := os.MkdirTemp(s.kits.Dir, "stick-")
	if err != nil {
		return out, known(fmt.Errorf("read stick: %w", err))
	}
	defer os.RemoveAll(dir)
	read, err := s.unpack(ctx, a, dir, stick)
	if err != nil {
		return out, known(err)
	}
	x := &importing{s: s, a: a, o: o, stick: read}
	found, err := x.look(ctx, codes, &out)
	if err != nil {
		return out, known(err)
	}
	for code, fitted := range codes {
		if !fitted {
			return out, &Invalid{Field: "receipt_code", Code: "no_match", Err: fmt.Errorf("%w: %s", ErrReceiptCode, code)}
		}
	}
	for i, f := range found {
		if err := x.take(ctx, f, &out.Results[i]); err != nil {
			return out, known(err)
		}
	}
	return out, nil
}

// unpack reads the zip into dir.
func (s *Acts) unpack(ctx context.Context, a Actor, dir string, stick io.Reader) (*kit.Stick, error) {
	free, err := durable.Free(dir)
	if err != nil {
		return nil, err
	}
	room := (int64(min(free, 1<<62)) - s.kits.MinFree) / 2 // the zip, and what is in it
	if room <= 0 {
		return nil, ErrNoSpace
	}
	f, err := os.OpenFile(filepath.Join(dir, "stick.zip"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("read stick: %w", err)
	}
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(stick, room+1))
	if err != nil {
		return nil, fmt.Errorf("read stick: %w", err)
	}
	if n > room {
		return nil, fmt.Errorf("%w: the stick is larger than the room for it, %d bytes", ErrNoSpace, room)
	}
	z, err := kit.OpenZip(f, n)
	if errors.Is(err, kit.ErrTooMany) {
		return nil, &Invalid{Field: "stick", Code: "range", Err: err}
	}
	if err != nil {
		return nil, &Invalid{Field: "stick", Code: "malformed", Err: err}
	}
	u := kit.Unpacking{Dir: filepath.Join(dir, usbkit.ResultsDir), MaxBytes: room}
	if err := os.Mkdir(u.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("read stick: %w", err)
	}
	if s.kits.Open != nil {
		u.Open = func(r io.Reader) (io.Reader, error) { return s.kits.Open(a.OrganisationID, r) }
	}
	return kit.Unpack(ctx, z, u)
}

// importing is one stick while it is taken in.
type importing struct {
	s        *Acts
	a        Actor
	o        ImportOrder
	stick    *kit.Stick
	document usbkit.Kit
	ours     bool   // the document is signed by this collector, for this organisation
	sha256   string // of the document
}

// look checks everything before anything is taken in.
func (x *importing) look(ctx context.Context, codes map[string]bool, out *Imported) ([]kit.Found, error) {
	out.Problems = x.stick.Problems
	if x.stick.Document != nil {
		k, err := kit.Verify(x.stick.Document, x.stick.Signature, x.s.ca.Certificate())
		x.document, x.sha256 = k, digest.Of(x.stick.Document).String()
		x.ours = err == nil && k.Organisation.ID == x.a.OrganisationID
		out.KitID = k.KitID
		if err != nil {
			out.Problems = append(out.Problems, kit.Problem{File: usbkit.DocumentFile, Code: problemForeign, Detail: err.Error()})
		}
	}
	out.Ours = x.ours
	var found []kit.Found
	for _, r := range x.stick.Results {
		res := ImportedResult{AcquisitionID: r.AcquisitionID}
		f := kit.Found{Result: r}
		if r.Unfinished {
			res.State, res.Parts = ImportUnfinished, r.Parts
		} else {
			var err error
			if f, err = kit.Check(ctx, r); err != nil {
				return nil, err
			}
			res.Statement = f.Statement
			if _, asked := codes[f.ReceiptCode]; asked && len(r.Problems) == 0 {
				codes[f.ReceiptCode] = true
				res.compared(f)
			}
			if len(r.Problems) == 0 {
				if err := x.origin(ctx, &f, &res); err != nil {
					return nil, err
				}
			}
			if len(r.Problems) > 0 {
				res.State, res.Problems = ImportRefused, r.Problems
			}
		}
		found, out.Results = append(found, f), append(out.Results, res)
	}
	return found, nil
}

// origin says whether an acquisition was made with a kit of ours and by its program.
func (x *importing) origin(ctx context.Context, f *kit.Found, res *ImportedResult) error {
	path := usbkit.ResultsDir + "/" + f.AcquisitionID + "/"
	foreign := func(code, detail string) {
		res.Foreign = true
		if !x.o.AcceptForeign || x.o.IncidentID == "" {
			f.Problems = append(f.Problems, kit.Problem{File: path + "manifest.json", Code: code, Detail: detail})
		}
	}
	s := f.Statement
	if s == nil {
		foreign(problemForeign, "it holds no statement that was made with a kit")
		return nil
	}
	made, err := kit.MadeFor(ctx, x.s.db.Read(), x.a.OrganisationID, s.KitID, s.KitSHA256)
	if err != nil && !errors.Is(err, kit.ErrNotFound) {
		return err
	}
	same := x.ours && s.KitSHA256 == x.sha256 && s.KitID == x.document.KitID
	if err != nil && !same {
		foreign(problemForeign, "it was acquired with the kit "+s.KitID+", which was not made by this collector")
		return nil
	}
	programs, err := x.programs(ctx, s, same)
	if err != nil {
		return err
	}
	switch sum := f.Manifest.Tool.SHA256; {
	case sum == "":
		foreign(problemTool, "it does not say by which program it was acquired")
	case len(programs) == 0:
		foreign(problemTool, "neither the stick nor the ledger tells the programs of its kit")
	case !slices.Contains(programs, sum):
		foreign(problemTool, "it was acquired by a program with the SHA-256 "+sum+", which is not in the kit")
	}
	if same {
		made = cmp.Or(made, x.document.IncidentID)
	}
	f.Manifest.IncidentID = made // what the kit was made for; the manifest only repeats it
	return nil
}

// programs are the SHA-256 of the programs of the kit that a statement names: by its document,
// if that is the one beside it, else by the ledger, so that who spoils the document gains
// nothing. There are none when neither tells.
func (x *importing) programs(ctx context.Context, s *record.Kit, same bool) (sums []string, err error) {
	if same {
		for _, f := range x.document.Files {
			if f.Name == usbkit.LinuxAgent || f.Name == usbkit.WindowsAgent {
				sums = append(sums, f.SHA256)
			}
		}
		return sums, nil
	}
	list, err := ledger.Entries(ctx, x.s.db.Read(), ledger.Filter{OrganisationID: x.a.OrganisationID, Subject: s.KitID, Act: kit.ActBuild})
	if errors.Is(err, ledger.ErrBroken) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		for _, name := range []string{usbkit.LinuxAgent, usbkit.WindowsAgent} {
			if sum := e.Details["sha256_"+name]; sum != "" && e.Details["kit_sha256"] == s.KitSHA256 {
				sums = append(sums, sum)
			}
		}
	}
	return sums, nil
}

// compared notes that the code on paper is that of this result. Only then is it told: a code
// that stands on the screen would be copied from there, and nothing would be compared.
func (r *ImportedResult) compared(f kit.Found) { r.ReceiptCode, r.CodeCompared = f.ReceiptCode, true }

// take takes one acquisition in, if nothing is wrong with it.
func (x *importing) take(ctx context.Context, f kit.Found, res *ImportedResult) error {
	if res.State != "" {
		return x.refused(ctx, f, res)
	}
	known, err := x.s.evidence.Acquisition(ctx, x.a.OrganisationID, f.AcquisitionID)
	if err == nil {
		return x.already(ctx, known, f, res)
	}
	if !errors.Is(err, evidence.ErrNotFound) {
		return err
	}
	i, err := x.place(ctx, f, res)
	if err != nil {
		return err
	}
	if res.State != "" {
		return x.refused(ctx, f, res)
	}
	err = x.upload(ctx, i.EndpointID, f)
	if r, ok := errors.AsType[*evidence.Refusal](err); ok {
		res.State = ImportRefused
		res.Problems = append(res.Problems, kit.Problem{File: usbkit.ResultsDir + "/" + f.AcquisitionID + "/" + r.Part, Code: string(r.Code), Detail: r.Detail})
		return nil // the intake has recorded it
	}
	if err != nil {
		return err
	}
	x.s.EvidenceChanged(ctx, i.EndpointID, f.AcquisitionID)
	res.State, res.Items = ImportTaken, len(f.Manifest.Artifacts)
	return x.name(ctx, i.EndpointID, i.IncidentID, res)
}

// already tells of an acquisition that was taken in before.
func (x *importing) already(ctx context.Context, known evidence.Acquisition, f kit.Found, res *ImportedResult) error {
	if known.ManifestSHA256 != digest.Of(f.Raw).String() {
		res.State = ImportRefused
		res.Problems = append(res.Problems, kit.Problem{File: usbkit.ResultsDir + "/" + f.AcquisitionID + "/manifest.json", Code: problemTaken,
			Detail: "another manifest was taken in under this identifier, with the SHA-256 " + known.ManifestSHA256})
		return x.refused(ctx, f, res)
	}
	res.State, res.Items = ImportAlready, known.Items
	i, err := kit.ImportOf(ctx, x.s.db.Read(), f.AcquisitionID)
	switch {
	case err == nil && res.CodeCompared && !i.CodeCompared:
		err = x.s.write(ctx, x.a, mayAcquire, func(ctx context.Context, d *deed) error { return codeFitted(ctx, d, f) })
	case err == nil && i.CodeCompared:
		res.compared(f)
	}
	if err != nil && !errors.Is(err, kit.ErrNotFound) {
		return err
	}
	return x.name(ctx, known.EndpointID, known.IncidentID, res)
}

// codeFitted puts on record that a code that was given later is that of the result.
func codeFitted(ctx context.Context, d *deed, f kit.Found) error {
	if err := kit.CodeFitted(ctx, d.tx, f.AcquisitionID); err != nil {
		return err
	}
	_, err := d.record(ctx, kit.ActCode, f.AcquisitionID, map[string]string{"receipt_code": f.ReceiptCode})
	return err
}

// name fills in what people call things.
func (x *importing) name(ctx context.Context, endpointID, incidentID string, res *ImportedResult) error {
	e, err := endpoint.ByID(ctx, x.s.db.Read(), endpointID)
	if err != nil {
		return err
	}
	res.EndpointID, res.Endpoint = e.ID, display(e)
	if incidentID == "" {
		if a, err := x.s.evidence.Acquisition(ctx, x.a.OrganisationID, res.AcquisitionID); err == nil {
			incidentID = a.IncidentID // its endpoint's newest open one
		}
	}
	if incidentID == "" {
		return nil
	}
	inc, err := incident.FindBare(ctx, x.s.db.Read(), x.a.OrganisationID, incidentID)
	res.Incident = inc.Number
	return err
}

// refused puts on record what was not taken in and why.
func (x *importing) refused(ctx context.Context, f kit.Found, res *ImportedResult) error {
	with := map[string]string{"state": res.State, "kit": x.document.KitID, "problems": strconv.Itoa(len(res.Problems))}
	for i, p := range res.Problems {
		if i == 10 {
			break
		}
		with["problem_"+strconv.Itoa(i+1)] = p.Code + " " + p.File
	}
	return x.s.write(ctx, x.a, mayAcquire, func(ctx context.Context, d *deed) error {
		_, err := d.record(ctx, "kit.refuse", f.AcquisitionID, with)
		return err
	})
}

// place finds or makes the endpoint of an acquisition and puts the import on record, all
// before its evidence is taken in: what is broken off then is gone on with the next time.
func (x *importing) place(ctx context.Context, f kit.Found, res *ImportedResult) (kit.Import, error) {
	hosts, err := x.s.hostIDs(ctx, x.a.OrganisationID, f.Host.HostID)
	if err != nil {
		return kit.Import{}, err
	}
	var i kit.Import
	err = x.s.write(ctx, x.a, mayAcquire, func(ctx context.Context, d *deed) error {
		i, err = kit.ImportOf(ctx, d.tx, f.AcquisitionID)
		if err == nil {
			return x.goOn(ctx, d, i, f, res)
		}
		if !errors.Is(err, kit.ErrNotFound) {
			return err
		}
		i = kit.Import{AcquisitionID: f.AcquisitionID, OrganisationID: d.actor.OrganisationID, IncidentID: cmp.Or(x.o.IncidentID, f.Manifest.IncidentID),
			KeySHA256: f.Manifest.Signer.KeySHA256, PublicKey: f.PublicKey, ReceiptCode: f.ReceiptCode, CodeCompared: res.CodeCompared, Foreign: res.Foreign,
			ImportedAt: d.now, ImportedBy: d.actor.Name}
		if f.Statement != nil {
			i.KitID = f.Statement.KitID
			i.Place, i.Reason, i.AcquiredBy, i.Witness = f.Statement.Place, f.Statement.Reason, f.Statement.By, f.Statement.Witness
		}
		var inc incident.Incident
		if i.IncidentID != "" {
			if inc, err = incident.FindBare(ctx, d.tx, i.OrganisationID, i.IncidentID); err != nil {
				return err
			}
		}
		e, match, err := x.s.endpointOf(ctx, d, f, hosts)
		if err != nil {
			return err
		}
		i.EndpointID, res.Match = e.ID, match
		if i.IncidentID != "" {
			if err := x.s.join(ctx, d, inc, e); err != nil {
				return err
			}
		}
		if err := kit.InsertImport(ctx, d.tx, i); err != nil {
			return err
		}
		_, err = d.record(ctx, kit.ActImport, f.AcquisitionID, importFacts(i, f, match))
		return err
	})
	return i, err
}

// goOn goes on with an import that was broken off: with the same manifest, into the same
// incident. A code that is given only now is put on record.
func (x *importing) goOn(ctx context.Context, d *deed, i kit.Import, f kit.Found, res *ImportedResult) error {
	wrong := func(code, detail string) {
		res.State = ImportRefused
		res.Problems = append(res.Problems, kit.Problem{File: usbkit.ResultsDir + "/" + f.AcquisitionID + "/manifest.json", Code: code, Detail: detail})
	}
	if i.KeySHA256 != f.Manifest.Signer.KeySHA256 || i.ReceiptCode != f.ReceiptCode {
		wrong(problemTaken, "the import of another manifest was begun under this identifier")
		return nil
	}
	if x.o.IncidentID != "" && x.o.IncidentID != i.IncidentID {
		into := "no incident"
		if inc, err := incident.FindBare(ctx, d.tx, i.OrganisationID, i.IncidentID); err == nil {
			into = inc.Number
		}
		wrong(problemBegun, into)
		return nil
	}
	res.Match = MatchBefore
	if i.CodeCompared {
		res.compared(f)
		return nil
	}
	if res.CodeCompared {
		return codeFitted(ctx, d, f)
	}
	return nil
}

// endpointOf finds the endpoint with the machine identifier that the acquisition claims, or
// makes one.
func (s *Acts) endpointOf(ctx context.Context, d *deed, f kit.Found, hosts []string) (endpoint.Endpoint, string, error) {
	for _, h := range hosts {
		e, err := endpoint.ByID(ctx, d.tx, h)
		if err != nil && !errors.Is(err, endpoint.ErrNotFound) {
			return e, "", err
		}
		if err == nil && e.RevokedAt.IsZero() {
			return e, MatchID, nil
		}
	}
	m := f.Manifest
	e := endpoint.Endpoint{ID: id.New(id.Endpoint), OrganisationID: d.actor.OrganisationID, Hostname: m.Host.Hostname, OS: m.Host.OS, Arch: m.Host.Arch,
		Platform: strings.TrimSpace(f.Host.Platform + " " + f.Host.PlatformVersion), AgentVersion: m.Tool.Version, BootID: m.Host.BootID,
		EnrolledAt: d.now, Origin: endpoint.ByKit}
	if err := endpoint.Insert(ctx, d.tx, e, ""); err != nil {
		return e, "", err
	}
	d.tell(s, Event{Kind: EventEndpoint, EndpointID: e.ID})
	facts := e.Details()
	facts["origin"], facts["host_id"], facts["acquisition"] = string(e.Origin), f.Host.HostID, f.AcquisitionID
	_, err := d.record(ctx, endpoint.ActAdd, e.ID, facts)
	return e, MatchNew, err
}

// upload hands an acquisition to the intake as an agent would.
func (x *importing) upload(ctx context.Context, endpointID string, f kit.Found) (err error) {
	u, err := x.s.kits.Intake.Begin(ctx, endpointID, f.AcquisitionID)
	if err != nil {
		return err
	}
	defer u.Close()
	for _, e := range f.Manifest.Artifacts {
		if err := uploadPart(u, f.Dir, e.Name); err != nil {
			return err
		}
	}
	_, err = u.Seal(ctx, f.Raw, f.Sig, f.PublicKey)
	return err
}

func uploadPart(u *evidence.Upload, dir, name string) error {
	in, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	defer in.Close()
	if err := u.Part(name, 0, nil); err != nil {
		return err
	}
	sum := digest.NewWriter(io.Discard)
	for {
		chunk := make([]byte, 256<<10) // the intake keeps it
		n, err := in.Read(chunk)
		if n > 0 {
			if _, werr := sum.Write(chunk[:n]); werr != nil {
				return werr
			}
			if werr := u.Write(chunk[:n]); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read result: %w", err)
		}
	}
	d := sum.Sum()
	return u.EndPart(sum.Size(), d[:])
}
