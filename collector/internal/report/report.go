// Package report writes the documents of an incident, such as the owner's one page, from
// facts that it is given: every sentence with where it comes from, in one neutral form that
// becomes a PDF, a Word file or plain text. It keeps what was issued. It knows nothing of
// where facts are found, of HTML or of who may read them.
package report

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"hozen/internal/i18n"
)

//go:embed texts
var files embed.FS

// Texts returns the words of the documents.
func Texts() (i18n.Catalogue, error) {
	f, err := fs.Sub(files, "texts")
	if err != nil {
		return i18n.Catalogue{}, err
	}
	return i18n.Load(f)
}

// Kind is which document.
type Kind string

// The documents.
const (
	Owner      Kind = "owner"      // one page for whoever decides
	Full       Kind = "full"       // the whole report
	PPC        Kind = "ppc"        // what to type into the web form of the 個人情報保護委員会
	IPAVirus   Kind = "ipa_virus"  // notification of a virus to IPA
	IPAAccess  Kind = "ipa_access" // notification of an unauthorised access to IPA
	JPCERT     Kind = "jpcert"     // to JPCERT/CC
	Police     Kind = "police"     // what to take to the police
	Persons    Kind = "persons"    // letter to the persons whose data it is about
	Partners   Kind = "partners"   // letter to business partners
	Press      Kind = "press"      // draft of a publication
	Calls      Kind = "calls"      // whom to call, to be filled in by hand
	Monitoring Kind = "monitoring" // notice to the staff about what is recorded on PCs
)

// Kinds returns all documents in the order in which people need them.
func Kinds() []Kind {
	return []Kind{Owner, Calls, Full, PPC, Police, IPAVirus, IPAAccess, JPCERT, Partners, Persons, Press, Monitoring}
}

// Valid reports whether k is one of the documents.
func (k Kind) Valid() bool { return slices.Contains(Kinds(), k) }

// Staged reports whether a document is issued as a first, an interim and a final one.
func (k Kind) Staged() bool { return k == Full || k == PPC }

// ToCopy reports whether a document is for typing into a form of somebody else's, block by
// block.
func (k Kind) ToCopy() bool { return slices.Contains([]Kind{PPC, IPAVirus, IPAAccess, JPCERT}, k) }

// Draft reports whether the words are a proposal that somebody has to change before they
// leave the house.
func (k Kind) Draft() bool { return slices.Contains([]Kind{Persons, Partners, Press, Monitoring}, k) }

// Stage says which of several reports one is.
type Stage string

// The stages. Those of the PPC are called 速報 and 確報 there.
const (
	First   Stage = "first"
	Interim Stage = "interim"
	Final   Stage = "final"
)

// Stages returns the stages of a document, none when it has only one.
func Stages(k Kind) []Stage {
	switch {
	case k == PPC:
		return []Stage{First, Final}
	case k.Staged():
		return []Stage{First, Interim, Final}
	}
	return nil
}

// Options are how a document is written.
type Options struct {
	Language i18n.Language
	Stage    Stage // of a [Kind.Staged] one
	Era      bool  // days are written by the Japanese era (和暦), in Japanese alone
	// Added are words of people, by the key of the block that they stand in.
	Added map[string]string
	// By wrote what was added, and issues the document.
	By string
}

// Limits of what people add, in bytes, and of a block of the owner's page, in characters.
const (
	MaxAdded  = 6000
	MaxOnPage = 400
)

// ErrUnknownKind means that there is no such document.
var ErrUnknownKind = errors.New("there is no such document")

// Build writes a document. It has neither number nor version: [Document.Issue] gives them.
func Build(k Kind, f Facts, o Options) (Document, error) {
	if !k.Valid() {
		return Document{}, fmt.Errorf("%w: %.40q", ErrUnknownKind, k)
	}
	c, err := Texts()
	if err != nil {
		return Document{}, err
	}
	if o.Language != i18n.English {
		o.Language = i18n.Japanese
	}
	if stages := Stages(k); len(stages) == 0 {
		o.Stage = ""
	} else if !slices.Contains(stages, o.Stage) {
		o.Stage = First
	}
	w := &writer{p: c.Printer(o.Language), f: f, o: o}
	w.doc = Document{Kind: k, Language: o.Language, Stage: o.Stage, Era: o.Era, Drill: f.Drill, CaseNumber: f.Incident.Number, CaseTitle: f.Incident.Title, Organisation: f.Organisation.Name,
		LedgerSize: f.LedgerSize, At: f.At, Title: w.title(k), Added: map[string]string{}}
	switch k {
	case Owner:
		w.owner()
	case Full:
		w.full()
	case PPC:
		w.ppc()
	case IPAVirus:
		w.ipaVirus()
	case IPAAccess:
		w.ipaAccess()
	case JPCERT:
		w.jpcert()
	case Police:
		w.police()
	case Persons:
		w.persons()
	case Partners:
		w.partners()
	case Press:
		w.press()
	case Calls:
		w.calls()
	case Monitoring:
		w.monitoring()
	}
	w.finish()
	return w.doc, nil
}

func (w *writer) title(k Kind) string {
	title := w.t("title." + string(k))
	if w.o.Stage != "" {
		key := "stage." + string(w.o.Stage)
		if k == PPC {
			key = "stage.ppc." + string(w.o.Stage)
		}
		title += w.t("title.stage", "stage", w.t(key))
	}
	return title
}

// Zone is in which documents write times; Japan has no summer time.
func Zone() *time.Location { return time.FixedZone("JST", 9*60*60) }
