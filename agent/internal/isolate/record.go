package isolate

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Record is the last order, as it outlives a restart.
type Record struct {
	// Desired is Released or Isolated.
	Desired State `json:"desired"`
	// CommandID is the command that ordered it, empty if none is known.
	CommandID string `json:"command_id"`
	// OrderedAt is the agent's wall clock when it was carried out.
	OrderedAt time.Time `json:"ordered_at"`
	// Policy is what stays allowed while isolated.
	Policy Policy `json:"policy"`
	// How it ends, and what is told of it.
	terms
	// Confirm is how the order is confirmed, nil if it needs no confirmation.
	Confirm *Confirm `json:"confirm,omitempty"`
	// Controls are the ways that were open before the cut.
	Controls Controls `json:"controls,omitzero"`
	// Beside are the rules of others before the cut; a release keeps them until they were
	// compared.
	Beside Beside `json:"beside,omitzero"`
	// Count is how long the order has been in force.
	Count Count `json:"count,omitzero"`
	// Heard is when the collector was heard last, as far as it was written; Lapsed is when
	// it was told that this is too long ago.
	Heard  time.Time `json:"heard,omitzero"`
	Lapsed time.Time `json:"lapsed,omitzero"`
	// Tries are those of the code, of each account.
	Tries allTries `json:"tried,omitempty"`
	// Ended is how the isolation before ended, if it did without an order.
	Ended *Ended `json:"ended,omitempty"`
	// Owed is what happened and may not be kept yet by whoever was told.
	Owed []Owed `json:"owed,omitempty"`
	// Leaks are the trials that showed something to pass, so that a restart of the agent is
	// no way to have them forgotten.
	Leaks []Trial `json:"leaks,omitempty"`
	// Lost means that this record replaces one that was lost.
	Lost bool `json:"lost,omitempty"`
}

// same reports whether q orders and allows the same.
func (r Record) same(q Record) bool {
	return r.CommandID == q.CommandID && r.Desired == q.Desired && r.Policy.Equal(q.Policy)
}

func (r Record) check() error {
	if r.Desired != Released && r.Desired != Isolated {
		return fmt.Errorf("desired state %.20q is neither %q nor %q", r.Desired, Released, Isolated)
	}
	if err := r.Code.check(); err != nil {
		return err
	}
	return r.Confirm.check()
}

const (
	recordMagic  = "hozen-isolation-record"
	markerMagic  = "hozen-isolation-marker"
	recordFormat = "1"
	// recordMax bounds a state file; two policies of 64 permits with the longest reasons,
	// every character escaped, take 400 KB.
	recordMax = 1 << 20
)

var errDamaged = errors.New("damaged")

// A sealed file is one line, "MAGIC FORMAT SEQUENCE HMAC", and the body that with the
// rest of the line makes the HMAC-SHA256 in hexadecimal. The sequence counts up with
// every order, so that an old file put back is noticed.
func seal(key []byte, magic string, seq uint64, body []byte) []byte {
	head := fmt.Sprintf("%s %s %d ", magic, recordFormat, seq)
	out := append([]byte(head), hex.EncodeToString(mac(key, head, body))...)
	return append(append(out, '\n'), body...)
}

func unseal(key []byte, magic string, b []byte) (seq uint64, body []byte, err error) {
	line, body, ok := bytes.Cut(b, []byte("\n"))
	f := strings.Split(string(line), " ")
	if !ok || len(b) > recordMax || len(f) != 4 || f[0] != magic {
		return 0, nil, fmt.Errorf("not a %s: %w", magic, errDamaged)
	}
	if f[1] != recordFormat {
		return 0, nil, fmt.Errorf("format %.10q is not known: %w", f[1], errDamaged)
	}
	seq, err = strconv.ParseUint(f[2], 10, 64)
	if err != nil || seq == 0 || strconv.FormatUint(seq, 10) != f[2] {
		return 0, nil, fmt.Errorf("sequence %.30q: %w", f[2], errDamaged)
	}
	sum, err := hex.DecodeString(f[3])
	head := strings.Join(f[:3], " ") + " "
	if err != nil || !hmac.Equal(sum, mac(key, head, body)) {
		return 0, nil, fmt.Errorf("integrity check does not hold: %w", errDamaged)
	}
	return seq, body, nil
}

func mac(key []byte, head string, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(head))
	m.Write(body)
	return m.Sum(nil)
}

func encodeRecord(key []byte, seq uint64, r Record) ([]byte, error) {
	r.Policy = r.Policy.Clean()
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode isolation record: %w", err)
	}
	b := seal(key, recordMagic, seq, append(body, '\n'))
	if len(b) > recordMax {
		return nil, fmt.Errorf("encode isolation record: %d bytes, at most %d are allowed", len(b), recordMax)
	}
	return b, nil
}

func decodeRecord(key, b []byte) (uint64, Record, error) {
	seq, body, err := unseal(key, recordMagic, b)
	if err != nil {
		return 0, Record{}, err
	}
	var r Record
	if err := json.Unmarshal(body, &r); err != nil {
		return 0, Record{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if err := r.check(); err != nil {
		return 0, Record{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	r.Policy = r.Policy.Clean()
	return seq, r, nil
}
