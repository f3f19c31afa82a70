package act

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"hozen/collector/internal/incident"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
	"hozen/internal/i18n"
)

// NewForm is an official spreadsheet that somebody brought along, with what goes where.
type NewForm struct {
	IncidentID string // identifier or number
	Language   i18n.Language
	Era        bool   // 和暦
	Workbook   []byte // .xlsx
	Cells      string // see [report.ParseCells]
}

// FormValues returns what cells of a spreadsheet can be filled with, by name.
func (s *Acts) FormValues(ctx context.Context, a Actor, n NewForm) (map[string]string, error) {
	v, err := read(ctx, s, a, mayReport, func(q sqldb.Queryer, a Actor) (formValues, error) { return s.formValues(ctx, q, a, n) })
	return v.Values, err
}

// formValues are values with the incident that they are of.
type formValues struct {
	Incident incident.Incident
	Values   map[string]string
}

func (s *Acts) formValues(ctx context.Context, q sqldb.Queryer, a Actor, n NewForm) (v formValues, err error) {
	if v.Incident, err = incident.Find(ctx, q, a.OrganisationID, n.IncidentID); err != nil {
		return v, err
	}
	f, err := s.documentFacts(ctx, q, a, v.Incident, n.Language)
	if err != nil {
		return v, err
	}
	v.Values, err = report.Values(f, report.Options{Language: n.Language, Era: n.Era})
	return v, err
}

// FillForm fills a spreadsheet. Neither it nor what comes of it is kept: the ledger has the
// digests of both and the list of cells, so that the file can be recognised later.
func (s *Acts) FillForm(ctx context.Context, a Actor, n NewForm) ([]byte, error) {
	cells, err := report.ParseCells(n.Cells)
	if err != nil {
		return nil, &Invalid{Field: "cells", Code: "malformed", Err: err}
	}
	v, err := read(ctx, s, a, mayReport, func(q sqldb.Queryer, a Actor) (formValues, error) { return s.formValues(ctx, q, a, n) })
	if err != nil {
		return nil, err
	}
	if v.Incident.Drill {
		return nil, ErrInDrill // an official form has no place for a mark
	}
	filled, err := s.fillWorkbook(ctx, n.Workbook, cells, v.Values)
	switch {
	case errors.Is(err, report.ErrWorkbook):
		return nil, &Invalid{Field: "workbook", Code: "malformed", Err: err}
	case errors.Is(err, report.ErrCells):
		return nil, &Invalid{Field: "cells", Code: "malformed", Err: err}
	case err != nil:
		return nil, fmt.Errorf("fill form: %w", err)
	}
	sum := digest.Of(filled).String()
	err = s.write(ctx, a, mayReport, func(ctx context.Context, d *deed) error {
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, v.Incident.ID)
		if err != nil {
			return err
		}
		idx, err := d.record(ctx, report.ActFill, inc.ID, map[string]string{"number": inc.Number, "cells": strconv.Itoa(len(cells)), "list": n.Cells,
			"template_sha256": digest.Of(n.Workbook).String(), "filled_sha256": sum})
		if err != nil {
			return err
		}
		return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryReport, LedgerIdx: idx, Params: map[string]string{"event": "filled", "sha256": sum}})
	})
	return filled, err
}

// fillWorkbook fills one workbook at a time: each may cost a hundred megabytes for a moment,
// which the collector has once.
func (s *Acts) fillWorkbook(ctx context.Context, template []byte, cells []report.Cell, values map[string]string) ([]byte, error) {
	select {
	case s.filling <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another form: %w", ctx.Err())
	}
	defer func() { <-s.filling }()
	return report.FillWorkbook(template, cells, values)
}
