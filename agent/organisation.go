package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"hozen/agent/internal/config"
	"hozen/agent/internal/probe/filecopy"
	"hozen/agent/internal/uplink"
	"hozen/internal/artifact/record"
	"hozen/internal/durable"
	"hozen/internal/envelope"
)

// organisation keeps what the organisation has set for its endpoints: to which keys evidence
// is encrypted while it waits here, and what of people's own may be read. The last word
// counts without network and after a restart too, but not for another collector.
type organisation struct {
	path  string
	owner func() string // whose endpoint this is now; empty before enrolment
	log   *slog.Logger
	disk  sync.Mutex // held while the file is written
	// keeping are those who write it, or are about to.
	keeping sync.WaitGroup

	mu sync.Mutex
	is organisationRecord
	to []envelope.Recipient // of is
}

const (
	organisationFormat = "hozen-organisation/1"
	maxOrganisation    = 64 << 10
)

type organisationRecord struct {
	Format     string              `json:"format"`
	Owner      string              `json:"owner"`
	Recipients []string            `json:"recipients,omitempty"`
	Triage     *uplink.TriageScope `json:"triage,omitempty"`
}

// openOrganisation reads the last word. One that cannot be read is none, and an error beside
// it: evidence then waits in the clear until the collector is heard, because evidence that is
// not taken is worth less than that.
func openOrganisation(state string, owner func() string, log *slog.Logger) (*organisation, error) {
	o := &organisation{path: filepath.Join(state, "organisation.json"), owner: owner, log: log}
	f, err := os.Open(o.path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return o, fmt.Errorf("read what the organisation has set: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxOrganisation))
	var r organisationRecord
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err == nil && r.Format != organisationFormat {
		err = fmt.Errorf("format %.40q is not known", r.Format)
	}
	var to []envelope.Recipient
	if err == nil {
		to, err = recipients(r.Recipients)
	}
	if err != nil {
		return o, fmt.Errorf("read what the organisation has set: %w", err)
	}
	o.is, o.to = r, to
	return o, nil
}

// recipients reads public keys. That each of them can be read is not enough: nothing is
// encrypted to keys of which some are post-quantum and some are not.
func recipients(texts []string) (to []envelope.Recipient, err error) {
	for _, s := range texts {
		r, err := envelope.ParseRecipient(s)
		if err != nil {
			return nil, err
		}
		to = append(to, r)
	}
	if len(to) > 0 {
		if _, err := envelope.Seal(io.Discard, to...); err != nil {
			return nil, err
		}
	}
	return to, nil
}

// hear takes the collector's word and does not block. It counts even where it cannot be kept.
func (o *organisation) hear(c uplink.Configure) {
	r := organisationRecord{organisationFormat, o.owner(), c.Recipients, c.Triage}
	to, err := recipients(c.Recipients)
	if err != nil { // of a newer collector; what it gave before goes on, and never another's
		o.mu.Lock()
		r.Recipients, to = nil, nil
		if o.is.Owner == r.Owner {
			r.Recipients, to = o.is.Recipients, o.to
		}
		o.mu.Unlock()
		if len(to) > 0 {
			o.log.Error("a public key of the organisation cannot be read; the ones before it go on", slog.Any("error", err))
		} else {
			o.log.Error("a public key of the organisation cannot be read, and there is none before it; evidence waits in the clear", slog.Any("error", err))
		}
	}
	was, werr := json.Marshal(o.record())
	now, nerr := json.Marshal(r)
	o.mu.Lock()
	o.is, o.to = r, to
	o.mu.Unlock()
	if werr != nil || nerr != nil || string(was) != string(now) {
		o.keeping.Go(o.keep)
	}
}

func (o *organisation) record() organisationRecord {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.is
}

// keep writes the newest word.
func (o *organisation) keep() {
	o.disk.Lock()
	defer o.disk.Unlock()
	b, err := json.Marshal(o.record())
	if err == nil {
		err = durable.WriteFile(o.path, b, 0o600)
	}
	if err != nil {
		o.log.Error("what the organisation has set is not kept", slog.Any("error", err))
	}
}

// own reports whether the word is that of the collector of today, and returns it.
func (o *organisation) own() (organisationRecord, []envelope.Recipient, bool) {
	if o == nil {
		return organisationRecord{}, nil, false
	}
	owner := o.owner()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.is, o.to, owner != "" && o.is.Owner == owner
}

// conditions are what one acquisition is made under, from its plan to its end.
type conditions struct {
	scope filecopy.Scope // what of people's own may be read
	by    string         // whose word scope is
	to    []envelope.Recipient
}

// now returns the conditions of an acquisition that is planned now: the scope is the narrower
// of what the organisation and the PC's own file allow.
func (o *organisation) now(file config.Triage) conditions {
	r, to, own := o.own()
	if !own {
		r.Triage, to = nil, nil
	}
	scope, by := narrower(file, r.Triage)
	return conditions{scope, by, to}
}

// wrap is what encrypts the parts; nil where no key is known.
func (c conditions) wrap() func(io.Writer) (io.WriteCloser, error) {
	if len(c.to) == 0 {
		return nil
	}
	return func(w io.Writer) (io.WriteCloser, error) { return envelope.Seal(w, c.to...) }
}

// keys are the SHA-256 of the public keys to which the parts are encrypted.
func (c conditions) keys() (list []string) {
	for _, r := range c.to {
		list = append(list, r.Fingerprint().String())
	}
	return list
}

// wrap is what encrypts the parts of an acquisition that begins now; nil where no key is known.
func (o *organisation) wrap() func(io.Writer) (io.WriteCloser, error) {
	return o.now(config.Triage{}).wrap()
}

// keys are the SHA-256 of the public keys to which evidence is encrypted now.
func (o *organisation) keys() []string { return o.now(config.Triage{}).keys() }

func narrower(file config.Triage, org *uplink.TriageScope) (filecopy.Scope, string) {
	private, histories, by := false, true, "default"
	if org != nil {
		private, histories, by = org.Private, org.Histories, "organisation"
	}
	if file.Private == nil && file.Histories == nil {
		return filecopy.Scope{Private: private, NoHistories: !histories}, by
	}
	by = map[string]string{"default": "file", "organisation": "both"}[by]
	if file.Private != nil {
		private = *file.Private && (private || org == nil)
	}
	if file.Histories != nil {
		histories = histories && *file.Histories
	}
	return filecopy.Scope{Private: private, NoHistories: !histories}, by
}

// said puts into the footprint under which conditions an acquisition is made.
func (c conditions) said(f *record.Footprint) {
	f.ScopeBy, f.ScopePrivate, f.ScopeHistories = c.by, c.scope.Private, !c.scope.NoHistories
	f.Spool = "clear"
	if f.SpoolKeys = c.keys(); len(f.SpoolKeys) > 0 {
		f.Spool = "age"
	}
}
