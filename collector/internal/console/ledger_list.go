package console

import (
	"maps"
	"slices"
	"strconv"

	"hozen/collector/internal/act"
	"hozen/collector/internal/ledger"
)

const ledgerRows = 100

type ledgerView struct {
	Entries []ledgerEntry
	Subject string
	Before  int64
	Next    int64 // index to continue from; 0 when this is the end
}

type ledgerEntry struct {
	ledger.Recorded
	Facts []fact // the details in a stable order
}

type fact struct{ Name, Value string }

func (s *server) ledgerList(v *visit) error {
	q := v.r.URL.Query()
	view := ledgerView{Subject: q.Get("subject")}
	if b, err := strconv.ParseInt(q.Get("before"), 10, 64); err == nil && b > 0 {
		view.Before = b
	}
	if len(view.Subject) > 64 {
		view.Subject = ""
	}
	entries, err := s.ledger.LedgerEntries(v.ctx(), v.actor, act.LedgerFilter{Subject: view.Subject, Limit: ledgerRows, Before: view.Before})
	if err != nil {
		return err
	}
	for _, e := range entries {
		le := ledgerEntry{Recorded: e}
		for _, name := range slices.Sorted(maps.Keys(e.Details)) {
			le.Facts = append(le.Facts, fact{name, e.Details[name]})
		}
		view.Entries = append(view.Entries, le)
	}
	if len(entries) == ledgerRows {
		view.Next = entries[len(entries)-1].Index
	}
	return s.show(v, "ledger_list", view)
}
