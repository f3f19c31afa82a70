package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"hozen/collector/internal/sqldb"
)

// Format is the first field of every entry's text.
const Format = "hozen-ledger-entry/1"

// document is the text of an entry: the order of fields is the order of bytes.
type document struct {
	Format         string            `json:"format"`
	Index          int64             `json:"index"`
	OrganisationID string            `json:"organisation_id"`
	At             string            `json:"at"`
	ClockBackNS    int64             `json:"clock_back_ns,omitempty"` // how far the clock was behind the entry before
	Actor          actor             `json:"actor"`
	Act            string            `json:"act"`
	Subject        string            `json:"subject"`
	Details        map[string]string `json:"details,omitempty"`
}

type actor struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

// encode returns the one spelling of an entry: what it returns is stored and
// hashed, never a second encoding.
func encode(index int64, e Entry, clockBack time.Duration) (string, error) {
	d := document{
		Format: Format, Index: index, OrganisationID: e.OrganisationID,
		At: sqldb.FormatTime(e.At), ClockBackNS: int64(clockBack),
		Actor: actor{Kind: e.ActorKind, ID: sqldb.CleanText(e.ActorID), Name: sqldb.CleanText(e.ActorName)},
		Act:   e.Act, Subject: sqldb.CleanText(e.Subject), Details: e.Details,
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil { // sorts the keys of Details
		return "", fmt.Errorf("encode entry: %w", err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

func decode(text string) (document, error) {
	var d document
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return document{}, fmt.Errorf("decode entry: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return document{}, fmt.Errorf("decode entry: text after its end")
	}
	if d.Format != Format {
		return document{}, fmt.Errorf("decode entry: format is %.40q, want %q", d.Format, Format)
	}
	return d, nil
}
