package report

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/xuri/excelize/v2"
)

// Limits of a workbook that somebody brings along, in bytes.
const (
	MaxWorkbook  = 5 << 20  // as a file
	maxUnpacked  = 64 << 20 // all parts of it
	maxPart      = 32 << 20
	maxParts     = 2000
	maxCells     = 400   // that are filled
	maxCellText  = 32000 // characters; Excel takes 32,767
	MaxCellLines = 32 << 10
)

// Cell says which value goes into which cell.
type Cell struct {
	Sheet string // name of the sheet
	Ref   string // B4
	Value string // name of the value, such as discovered_at
}

// ErrCells means that the list of cells is not understood, and ErrWorkbook that a workbook is
// not taken.
var (
	ErrCells    = errors.New("the list of cells is not understood")
	ErrWorkbook = errors.New("the workbook is not taken")
)

// ParseCells reads a list of cells, one a line, "Sheet1!B4 = discovered_at". What follows a #
// at the beginning of a line is a remark.
func ParseCells(s string) ([]Cell, error) {
	if len(s) > MaxCellLines {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrCells, MaxCellLines)
	}
	var out []Cell
	n := 0
	for line := range strings.Lines(s) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, '=')
		if i < 0 {
			return nil, fmt.Errorf("%w: line %d has no =", ErrCells, n)
		}
		where, value := strings.TrimSpace(line[:i]), strings.TrimSpace(line[i+1:])
		j := strings.LastIndexByte(where, '!')
		if j <= 0 {
			return nil, fmt.Errorf("%w: line %d names no sheet", ErrCells, n)
		}
		c := Cell{Sheet: strings.Trim(where[:j], "'"), Ref: strings.ToUpper(strings.ReplaceAll(where[j+1:], "$", "")), Value: value}
		switch column, row, err := excelize.CellNameToCoordinates(c.Ref); {
		case err != nil:
			return nil, fmt.Errorf("%w: line %d: %q is no cell", ErrCells, n, c.Ref)
		case column > maxColumn || row > maxRow:
			return nil, fmt.Errorf("%w: line %d: %s is beyond column %d or row %d", ErrCells, n, c.Ref, maxColumn, maxRow)
		}
		if out = append(out, c); len(out) > maxCells {
			return nil, fmt.Errorf("%w: more than %d cells", ErrCells, maxCells)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: it names no cell", ErrCells)
	}
	return out, nil
}

// FillWorkbook writes values into the cells of a workbook and leaves everything else as it is.
// All go in as text, so that nothing is calculated of what somebody wrote. A value that is
// not there is an error, and a cell with a formula is not overwritten.
func FillWorkbook(template []byte, cells []Cell, values map[string]string) (out []byte, err error) {
	if err := CheckWorkbook(template); err != nil {
		return nil, err
	}
	// The library reads what a stranger made; where it stumbles, that is a workbook not taken.
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("%w: it cannot be read: %v", ErrWorkbook, p)
		}
	}()
	f, err := excelize.OpenReader(bytes.NewReader(template), excelize.Options{UnzipSizeLimit: maxUnpacked, UnzipXMLSizeLimit: maxPart})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWorkbook, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sheets := f.GetSheetList()
	for _, c := range cells {
		v, ok := values[c.Value]
		if !ok {
			return nil, fmt.Errorf("%w: there is no value %.40q", ErrCells, c.Value)
		}
		if !contains(sheets, c.Sheet) {
			return nil, fmt.Errorf("%w: there is no sheet %.40q; it has %q", ErrCells, c.Sheet, sheets)
		}
		formula, err := f.GetCellFormula(c.Sheet, c.Ref)
		if err != nil {
			return nil, fmt.Errorf("%w: %s!%s: %w", ErrCells, c.Sheet, c.Ref, err)
		}
		if formula != "" {
			return nil, fmt.Errorf("%w: %s!%s has a formula", ErrCells, c.Sheet, c.Ref)
		}
		if err := f.SetCellStr(c.Sheet, c.Ref, cellText(v)); err != nil {
			return nil, fmt.Errorf("%w: %s!%s: %w", ErrCells, c.Sheet, c.Ref, err)
		}
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		return nil, fmt.Errorf("write workbook: %w", err)
	}
	return b.Bytes(), nil
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// cellText is a value as a cell takes it: what cannot be seen by its number, and an apostrophe
// before what a program that reads the saved form as plain text would take for a formula.
func cellText(s string) string {
	s = visible(s)
	if s != "" && strings.ContainsRune("=+-@\t", rune(s[0])) {
		s = "'" + s
	}
	if r := []rune(s); len(r) > maxCellText {
		s = string(r[:maxCellText]) + "…"
	}
	return s
}

// Values are the values that cells can have, by name: the ten items and what forms ask beyond,
// in words, 不明 where nothing is known.
func Values(f Facts, o Options) (map[string]string, error) {
	c, err := Texts()
	if err != nil {
		return nil, err
	}
	w := &writer{p: c.Printer(o.Language), f: f, o: o}
	out := map[string]string{"case_number": f.Incident.Number, "title": f.Incident.Title, "reporter": f.Incident.Reporter, "organisation": f.Organisation.Name, "client": f.Organisation.Client,
		"desk": f.Organisation.Desk, "today": w.day(f.At), "types": w.types()}
	keys := append(Items(), KnownAt, Impact, NextUpdate, MyNumber, Delegated, DataItems, PersonsCount, SecondaryHarm, PersonsNotice, Publication, Prevention, FoundBy, DeviceKind, Location, Route, Damage, Secrecy, Ask)
	for _, k := range keys {
		a := f.Answers[k]
		if len(goneOf(w.sourcesOf(k, a))) == 0 {
			out[string(k)] = w.sure(w.value(k, a), a.State)
		} else {
			out[string(k)] = ""
		}
	}
	if s, _ := w.typeAnswer(); s != "" {
		out[string(Type)] = s
	}
	if s, _ := w.discovered(); s != "" {
		out[string(DiscoveredAt)] = s
	}
	if out[string(Business)] == "" {
		out[string(Business)] = f.Organisation.Name
	}
	var endpoints, evidence, timeline []string
	for _, e := range f.Endpoints {
		endpoints = append(endpoints, w.t("systems.pc", "name", e.Name, "system", w.orUnknown(e.System)))
	}
	for _, e := range f.Evidence {
		if !e.Gone {
			evidence = append(evidence, e.Number)
		}
	}
	for _, l := range f.Timeline {
		timeline = append(timeline, w.moment(l.At)+" "+firstLine(l.Text))
	}
	out["endpoints"], out["evidence"], out[string(Course)] = strings.Join(endpoints, "\n"), strings.Join(evidence, "\n"), strings.Join(timeline, "\n")
	for k, v := range out {
		if strings.TrimSpace(v) == "" || v == w.sure("", Estimated) {
			out[k] = w.t("unknown")
		}
	}
	return out, nil
}
