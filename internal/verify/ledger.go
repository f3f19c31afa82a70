package verify

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	formatEntry = "hozen-ledger-entry/1"
	maxEntry    = 4 << 20 // bytes of one line of entries.jsonl
)

// ledgerHead is custody/ledger.json.
type ledgerHead struct {
	organisationID  string
	size, entries   int64
	root            node
	receipts        map[string]grown // by acquisition
	checkpointKey   string
	checkpointProof []node
}

type grown struct {
	size  int64
	root  node
	proof []node
}

// ledgerEntry is what an entry says as far as the check goes.
type ledgerEntry struct {
	index        int64
	leaf         node
	act, subject string
	details      map[string]string
}

// custody checks the entries of the ledger, then everything that they and the ledger have
// to agree with.
func (p *pack) custody(ctx context.Context) error {
	if p.doc == nil {
		return nil
	}
	b := p.small(partLedger, fileCustody, maxDocument)
	if b == nil {
		return nil
	}
	head, err := readHead(b)
	if err != nil {
		p.problem(partLedger, codeLedger, fileCustody, "%v", err)
		return nil
	}
	p.parts[partLedger].Outcome, p.parts[partEntries].Outcome = Fits, Fits
	if head.size != p.doc.ledgerSize || head.root.String() != p.doc.ledgerRoot || head.organisationID != p.doc.organisationID {
		p.problem(partLedger, codeLedger, fileCustody, "it is of another ledger than package.json")
	}
	entries, err := p.entries(ctx, head)
	if err != nil {
		return err
	}
	p.ordered(head, entries)
	p.accepted(head, entries)
	view := viewOf(entries, p.doc.incidentID)
	p.exhibits(view)
	p.uploads(view)
	for index := range entries {
		if index >= p.received {
			p.behind++
		}
	}
	p.checkpoint(head)
	p.vouched()
	p.vouchedUploads()
	p.cosigned()
	p.stamp()
	return nil
}

func readHead(b []byte) (*ledgerHead, error) {
	v, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	f := newFields(v, &err)
	oneOf(f, "format", f.text("format", true), []string{formatCustody})
	h := &ledgerHead{organisationID: f.text("organisation_id", true), size: f.number("size", true), entries: f.number("entries", true), receipts: map[string]grown{}}
	var ok bool
	if h.root, ok = parseHash(f.text("root_sha256", true)); !ok {
		f.fail("root_sha256 is no SHA-256")
	}
	for _, r := range f.list("receipts", maxZipNames) {
		acq := r.text("acquisition_id", true)
		g := grown{size: r.number("tree_size", true)}
		if g.root, ok = parseHash(r.text("root_sha256", true)); !ok {
			r.fail("%sroot_sha256 is no SHA-256", r.at)
		}
		g.proof = r.hashes("proof", true)
		if _, twice := h.receipts[acq]; twice {
			r.fail("%s%s stands twice", r.at, acq)
		}
		h.receipts[acq] = g
		r.done()
	}
	h.checkpointKey, h.checkpointProof = f.text("checkpoint_key", false), f.hashes("checkpoint_proof", false)
	f.done()
	return h, err
}

// entries reads entries.jsonl and proves each entry. Those that are right are returned.
func (p *pack) entries(ctx context.Context, head *ledgerHead) (map[int64]*ledgerEntry, error) {
	part := p.parts[partEntries]
	found := map[int64]*ledgerEntry{}
	last := int64(-1)
	n := int64(0)
	why := readLines(ctx, p.tree, fileEntries, io.Discard, func(line []byte) error {
		n++
		if len(line) > maxEntry {
			return fmt.Errorf("line %d is longer than %d bytes", n, maxEntry)
		}
		e, err := readEntryLine(line, head)
		if err != nil {
			p.problem(partEntries, codeEntry, fileEntries, "line %d: %v", n, err)
			return nil
		}
		if e.index <= last {
			p.problem(partEntries, codeEntry, fileEntries, "line %d: entry %d does not come after entry %d", n, e.index, last)
		}
		last = e.index
		found[e.index] = e
		part.Count++
		return nil
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if why != nil {
		p.problem(partEntries, why.Code, fileEntries, "%s", why.Detail)
	} else if n != head.entries {
		p.problem(partEntries, codeEntry, fileEntries, "it has %d entries, ledger.json says %d", n, head.entries)
	}
	return found, nil
}

func readEntryLine(line []byte, head *ledgerHead) (*ledgerEntry, error) {
	v, err := parseJSON(line)
	if err != nil {
		return nil, err
	}
	f := newFields(v, &err)
	index, text, saltText := f.number("index", true), f.text("text", true), f.text("salt", true)
	leaf, ok := parseHash(f.text("leaf", true))
	proof := f.hashes("proof", true)
	f.done()
	if err != nil {
		return nil, err
	}
	salt, herr := hex.DecodeString(saltText)
	if !ok || herr != nil || len(salt) != sha256.Size {
		return nil, errors.New("leaf or salt is not 64 hexadecimal digits")
	}
	record := sha256.Sum256(append(bytes.Clone(salt), text...))
	if leafHash(record[:]) != leaf {
		return nil, fmt.Errorf("the text of entry %d is not what was hashed", index)
	}
	if !included(leaf, index, head.size, proof, head.root) {
		return nil, fmt.Errorf("the proof does not show that entry %d is in the ledger of %d entries", index, head.size)
	}
	return readEntryText(text, index, leaf, head.organisationID)
}

// readEntryText reads the text of an entry (custody.md).
func readEntryText(text string, index int64, leaf node, organisationID string) (*ledgerEntry, error) {
	v, err := parseJSON([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("text of entry %d: %w", index, err)
	}
	f := newFields(v, &err)
	oneOf(f, "format", f.text("format", true), []string{formatEntry})
	if n := f.number("index", true); n != index {
		f.fail("it is the text of entry %d", n)
	}
	if o := f.text("organisation_id", true); o != organisationID {
		f.fail("it is of the ledger of %.60q", o)
	}
	f.time("at")
	f.number("clock_back_ns", false)
	a := f.sub("actor")
	for _, n := range []string{"kind", "id", "name"} {
		a.text(n, true)
	}
	a.done()
	e := &ledgerEntry{index: index, leaf: leaf, act: f.text("act", true), subject: f.text("subject", true), details: map[string]string{}}
	if _, there := f.o["details"]; there {
		d := f.sub("details")
		for name := range d.o {
			e.details[name] = d.text(name, true)
		}
	}
	f.done()
	if err != nil {
		return nil, fmt.Errorf("text of entry %d: %w", index, err)
	}
	return e, nil
}

// ordered looks for the entry of the order of this package, which is the last that the
// package speaks for.
func (p *pack) ordered(head *ledgerHead, entries map[int64]*ledgerEntry) {
	e := entries[head.size-1]
	if e == nil || e.act != "export.order" || e.subject != p.doc.id {
		p.problem(partLedger, codeLedger, fileEntries, "entry %d is not the order of this package", head.size-1)
		return
	}
	for name, want := range map[string]string{"number": p.doc.number, "incident": p.doc.incidentID, "recipient": p.report.Recipient, "purpose": p.report.Purpose,
		"hosts": strings.Join(p.doc.scopeHosts, " "), "profiles": strings.Join(p.doc.scopeProfiles, " ")} {
		if e.details[name] != want {
			p.problem(partLedger, codeLedger, fileDocument, "the ledger has another %s: %.200q", name, e.details[name])
		}
	}
	// Orders of versions whose packages had no such files don't say how many there are.
	if n := e.details["uploads"]; n != strconv.Itoa(len(p.doc.uploads)) && (n != "" || len(p.doc.uploads) > 0) {
		p.problem(partUploads, codeLedger, fileDocument, "it lists %d files that people sent, the order was for %.20q", len(p.doc.uploads), n)
	}
}

// accepted holds every acquisition against the ledger: its acceptance is an entry, the one
// that its receipt names, and the ledger goes on from the tree of the receipt.
func (p *pack) accepted(head *ledgerHead, entries map[int64]*ledgerEntry) {
	accepts, numbers := map[string]*ledgerEntry{}, map[string]map[string]string{}
	for _, e := range entries {
		switch e.act {
		case "evidence.accept":
			accepts[e.subject] = e
		case "evidence.number":
			acq := e.details["acquisition_id"]
			if numbers[acq] == nil {
				numbers[acq] = map[string]string{}
			}
			numbers[acq][e.details["name"]] = e.details["stored_sha256"] + " " + e.details["number"]
		}
	}
	for _, h := range p.doc.hosts {
		for _, a := range h.acquisitions {
			folder := "data/hosts/" + h.folder + "/sealed/" + a.id
			s := p.sealed[folder]
			if s == nil || s.manifest == nil {
				continue
			}
			p.parts[partLedger].Count++
			e := accepts[a.id]
			if e == nil || e.details["manifest_sha256"] != s.report.ManifestSHA256 {
				p.problem(partLedger, codeLedger, folder, "no entry of the ledger says that this manifest was accepted")
				continue
			}
			evidence := map[string]string{}
			for _, x := range a.evidence {
				evidence[x.name] = x.number
			}
			for _, m := range s.manifest.artifacts {
				if numbers[a.id][m.name] != m.stored.sha256+" "+evidence[m.name] {
					p.problem(partLedger, codeLedger, folder+"/"+m.name, "no entry of the ledger gives these bytes the number %s", evidence[m.name])
				}
			}
			if a.gone {
				p.disposed(folder, a, s, evidence, entries)
			}
			p.grown(head, e, folder, a.id, s.receipt)
		}
	}
}

func (p *pack) grown(head *ledgerHead, accept *ledgerEntry, folder, acquisitionID string, r *receiptFacts) {
	if r == nil {
		return // said already
	}
	file := folder + "/" + fileReceipt
	g, ok := head.receipts[acquisitionID]
	switch {
	case r.LedgerIndex != accept.index || r.leaf != accept.leaf.String():
		p.problem(partLedger, codeLedger, file, "the receipt names the entry %d of the ledger, the acceptance is entry %d", r.LedgerIndex, accept.index)
	case !ok || g.size != r.treeSize || g.root.String() != r.root:
		p.problem(partLedger, codeLedger, fileCustody, "there is no proof from the tree that the receipt of %s names", acquisitionID)
	case !extends(g.size, head.size, g.proof, g.root, head.root):
		p.problem(partLedger, codeLedger, fileCustody, "the ledger of %d entries does not go on from the %d that the receipt of %s names", head.size, g.size, acquisitionID)
	case r.Anchored:
		p.received = max(p.received, g.size)
	}
}

// checkpoint checks the signed checkpoint (C2SP tlog-checkpoint, signed-note), if there is
// one.
func (p *pack) checkpoint(head *ledgerHead) {
	part := p.parts[partCheckpoint]
	if !p.doc.checkpoint {
		part.Outcome = Absent
		if p.anchor.CheckpointKey != "" {
			p.problem(partCheckpoint, codeAnchor, fileSigned, "the package has no checkpoint")
		}
		if p.digests[fileSigned] != "" {
			p.problem(partCheckpoint, codeCheckpoint, fileSigned, "package.json says that there is none")
		}
		return
	}
	b := p.small(partCheckpoint, fileSigned, maxSmall)
	if b == nil {
		return
	}
	part.Outcome, part.Count = Fits, 1
	key, err := readVerifierKey(head.checkpointKey)
	if err != nil {
		p.problem(partCheckpoint, codeCheckpoint, fileCustody, "%v", err)
		return
	}
	size, root, err := key.open(string(b))
	switch {
	case err != nil:
		p.problem(partCheckpoint, codeCheckpoint, fileSigned, "%v", err)
		return
	case !extends(head.size, size, head.checkpointProof, head.root, root):
		p.problem(partCheckpoint, codeCheckpoint, fileSigned, "the ledger of %d entries that was signed does not go on from the %d of the package", size, head.size)
		return
	}
	part.Detail = fmt.Sprintf("%s, %d", key.name, size)
	if p.anchor.CheckpointKey == "" {
		return
	}
	if given, err := readVerifierKey(p.anchor.CheckpointKey); err != nil || given.name != key.name || !bytes.Equal(given.key, key.key) {
		p.problem(partCheckpoint, codeAnchor, fileCustody, "the checkpoint's key is not the one that was given")
	} else if p.signed = true; p.report.Anchor == "" {
		p.report.Anchor = "checkpoint"
	}
}

// verifierKey checks signed notes of one name.
type verifierKey struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

// readVerifierKey reads name+id+base64 (C2SP signed-note).
func readVerifierKey(s string) (*verifierKey, error) {
	bad := errors.New("not a verifier key of the form name+id+key with an Ed25519 key")
	name, rest, ok := strings.Cut(strings.TrimSpace(s), "+")
	idText, keyText, ok2 := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.Strict().DecodeString(keyText)
	id, herr := strconv.ParseUint(idText, 16, 32)
	if !ok || !ok2 || err != nil || herr != nil || name == "" || len(idText) != 8 || len(raw) != 1+ed25519.PublicKeySize || raw[0] != 1 {
		return nil, bad
	}
	k := &verifierKey{name: name, id: uint32(id), key: raw[1:]}
	sum := sha256.Sum256(append([]byte(name+"\n"), raw...))
	if binary.BigEndian.Uint32(sum[:4]) != k.id {
		return nil, bad
	}
	return k, nil
}

// open reads a checkpoint that this key signed.
func (k *verifierKey) open(note string) (size int64, root node, err error) {
	text, sigs, ok := strings.Cut(note, "\n\n")
	if !ok || strings.Contains(sigs, "\n\n") || !strings.HasSuffix(sigs, "\n") {
		return 0, node{}, errors.New("it is not a signed note")
	}
	text += "\n"
	signed := false
	for line := range strings.SplitSeq(strings.TrimSuffix(sigs, "\n"), "\n") {
		name, b64, ok := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		raw, derr := base64.StdEncoding.Strict().DecodeString(b64)
		if !strings.HasPrefix(line, "— ") || !ok || derr != nil || len(raw) < 5 {
			return 0, node{}, errors.New("it is not a signed note")
		}
		if name == k.name && binary.BigEndian.Uint32(raw) == k.id {
			if !ed25519.Verify(k.key, []byte(text), raw[4:]) {
				return 0, node{}, errors.New("its signature is not right")
			}
			signed = true
		}
	}
	if !signed {
		return 0, node{}, errors.New("the key that the package names did not sign it")
	}
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] != k.name {
		return 0, node{}, errors.New("it is not a checkpoint of this key's ledger")
	}
	size, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return 0, node{}, errors.New("its second line is no size")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(raw) != len(root) {
		return 0, node{}, errors.New("its third line is no hash")
	}
	return size, node(raw), nil
}
