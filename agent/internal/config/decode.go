package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// settings lists where every setting goes, by its full name.
func (c *Config) settings() map[string]any {
	return map[string]any{
		"collectors":               &c.Collectors,
		"log_level":                &c.LogLevel,
		"spool.max_bytes":          &c.Spool.MaxBytes,
		"spool.min_free_bytes":     &c.Spool.MinFreeBytes,
		"spool.keep_after_receipt": &c.Spool.KeepAfterReceipt,
		"uplink.min_backoff":       &c.Uplink.MinBackoff,
		"uplink.max_backoff":       &c.Uplink.MaxBackoff,
		"isolation.check_every":    &c.Isolation.CheckEvery,
		"recorder.enabled":         &c.Recorder.Enabled,
		"recorder.every":           &c.Recorder.Every,
		"recorder.max_bytes":       &c.Recorder.MaxBytes,
		"recorder.window":          &c.Recorder.Window,
		"shutdown.max_delay":       &c.Shutdown.MaxDelay,
		"triage.private":           &c.Triage.Private,
		"triage.histories":         &c.Triage.Histories,
	}
}

// decode reads a TOML document into the settings. The library's own decoder would
// double what the whole configuration costs in the program, as it fills any Go type
// and explains errors with excerpts; its parser is all that is needed here.
func decode(b []byte, settings map[string]any) error {
	d := decoder{settings: settings, tables: make(map[string]bool), seen: make(map[string]opened)}
	for name := range settings {
		if table, _, in := strings.Cut(name, "."); in {
			d.tables[table] = true
		}
	}
	d.parser.Reset(b)
	if err := d.run(); err != nil {
		return err
	}
	bad, ok := errors.AsType[*unstable.ParserError](d.parser.Error())
	if ok {
		return d.at(bad.Highlight, "%s", bad.Message)
	}
	return d.parser.Error()
}

// opened says how a name came to be in the document, for nothing may come twice.
type opened int

const (
	byHeader opened = iota + 1 // [spool]
	byDots                     // spool.max_bytes = 1
	byValue                    // spool = {…}, or a setting
)

type decoder struct {
	parser   unstable.Parser
	settings map[string]any
	tables   map[string]bool
	seen     map[string]opened
}

func (d *decoder) run() error {
	table := ""
	for d.parser.NextExpression() {
		e := d.parser.Expression()
		if e.Kind == unstable.KeyValue {
			if err := d.keyValue(table, e); err != nil {
				return err
			}
			continue
		}
		name, raw := d.name("", e.Key())
		switch {
		case !d.tables[name]:
			return d.at(raw, "unknown key %q", name)
		case e.Kind == unstable.ArrayTable:
			return d.at(raw, "%s: want one table", name)
		case d.seen[name] != 0:
			return d.at(raw, "%s: a second time", name)
		}
		table, d.seen[name] = name, byHeader
	}
	return nil
}

// keyValue takes one key with its value; table is the name of the table it is in.
func (d *decoder) keyValue(table string, e *unstable.Node) error {
	name, raw := d.name(table, e.Key())
	value := e.Value()
	outer, _, dotted := strings.Cut(strings.TrimPrefix(name, table+"."), ".")
	if dotted && table == "" && d.tables[outer] {
		if d.seen[outer] == byValue {
			return d.at(raw, "%s: a second time", outer)
		}
		d.seen[outer] = byDots
	}
	target, known := d.settings[name]
	switch {
	case !known && !d.tables[name]:
		return d.at(raw, "unknown key %q", name)
	case d.seen[name] != 0:
		return d.at(raw, "%s: a second time", name)
	}
	d.seen[name] = byValue
	if known {
		if want := set(target, value); want != "" {
			if value.Raw.Length > 0 {
				raw = d.parser.Raw(value.Raw)
			}
			return d.at(raw, "%s: want %s", name, want)
		}
		return nil
	}
	if value.Kind != unstable.InlineTable {
		return d.at(raw, "%s: want a table", name)
	}
	for inner := value.Children(); inner.Next(); {
		if err := d.keyValue(name, inner.Node()); err != nil {
			return err
		}
	}
	return nil
}

// name joins a key to its full name and returns the bytes at which it begins.
func (d *decoder) name(table string, key unstable.Iterator) (name string, raw []byte) {
	name = table
	for key.Next() {
		if raw == nil {
			raw = d.parser.Raw(key.Node().Raw)
		}
		if name != "" {
			name += "."
		}
		part := string(key.Node().Data)
		if strings.Contains(part, ".") { // "spool.max_bytes" in quotes is another key
			part = strconv.Quote(part)
		}
		name += part
	}
	return name, raw
}

// set puts a value where it belongs; it returns what was wanted when it is something else.
func set(target any, value *unstable.Node) (want string) {
	text := string(value.Data)
	switch to := target.(type) {
	case *string:
		if value.Kind != unstable.String {
			return "a text"
		}
		*to = text
	case *bool:
		if value.Kind != unstable.Bool {
			return "true or false"
		}
		*to = text == "true"
	case **bool:
		if value.Kind != unstable.Bool {
			return "true or false"
		}
		b := text == "true"
		*to = &b
	case *int64:
		n, err := strconv.ParseInt(text, 0, 64)
		if value.Kind != unstable.Integer || err != nil {
			return "a whole number of at most 63 bits"
		}
		*to = n
	case *[]string:
		const list = "a list of texts"
		if value.Kind != unstable.Array {
			return list
		}
		*to = []string{}
		for e := value.Children(); e.Next(); {
			if e.Node().Kind != unstable.String {
				return list
			}
			*to = append(*to, string(e.Node().Data))
		}
	case encoding.TextUnmarshaler:
		if value.Kind == unstable.Array || value.Kind == unstable.InlineTable || to.UnmarshalText(value.Data) != nil {
			return "a text"
		}
	}
	return ""
}

// at makes an error that points to some of the document's bytes.
func (d *decoder) at(raw []byte, format string, args ...any) error {
	whole := d.parser.Data()
	before := whole[:min(d.parser.Range(raw).Offset, uint32(len(whole)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return &Error{Line: line, Column: column, Reason: fmt.Sprintf(format, args...)}
}
