package export

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries; their subject is the package.
const (
	ActOrder   = "export.order"
	ActFrozen  = "export.frozen" // what may change later was noted with the order
	ActWritten = "export.written"
)

// FrozenSHA256 and CheckpointSHA256 are details, each a [ledger.Short] of what the row has;
// entries of earlier versions lack the second.
const (
	FrozenSHA256     = "frozen_sha256"
	CheckpointSHA256 = "checkpoint_sha256"
)

// ShortCheckpoint is [CheckpointSHA256] of the record of a package, with or without one.
func (r Record) ShortCheckpoint() string {
	return shortCheckpoint(r.CheckpointKey + "\n" + r.Checkpoint)
}

func shortCheckpoint(stored string) string {
	if stored == "" {
		stored = "\n"
	}
	return ledger.Short("checkpoint", stored)
}

// Audit holds the records of packages against the ledger, by organisation. q is one unchanging
// view. The error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "export_package", []string{"organisation_id", "id", "incident_id", "package_no", "number", "at", "actor_kind", "actor_id", "actor_name", "recipient", "purpose",
		"hosts", "profiles", "ledger_size", "ledger_root", "frozen", "checkpoint", "finished_at", "sha256", "size"}, func(r map[string]string) (string, string) {
		r["hosts"], r["profiles"] = joined(r["hosts"]), joined(r["profiles"])
		r["frozen"], r["checkpoint"] = ledger.Short("frozen", r["frozen"]), shortCheckpoint(r["checkpoint"])
		return r["id"], r["id"]
	})
	if err != nil {
		return nil, fmt.Errorf("audit packages: %w", err)
	}
	for _, r := range rows {
		size, err := strconv.ParseInt(r.Says["ledger_size"], 10, 64)
		head, herr := ledger.HeadOf(ctx, q, r.OrganisationID)
		if err != nil || herr != nil || size < 1 || size > head.Size {
			continue // what it says is not so anyway
		}
		root, err := ledger.RootAt(ctx, q, r.OrganisationID, size)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("audit packages: %w", ctx.Err())
		}
		if err != nil || hex.EncodeToString(root[:]) == r.Says["ledger_root"] { // of a ledger that contradicts itself others tell
			r.Says["ledger_root"] = ""
		}
	}
	found, err := ledger.EachStanding(ctx, q, []string{ActOrder, ActFrozen, ActWritten}, rows, told)
	if err != nil {
		return nil, fmt.Errorf("audit packages: %w", err)
	}
	return found, nil
}

// joined is a list as the entry has it.
func joined(list string) string {
	var l []string
	if json.Unmarshal([]byte(list), &l) != nil {
		return list
	}
	return strings.Join(l, " ")
}

func told(e ledger.Recorded) []ledger.Told {
	at := sqldb.FormatTime(e.Told)
	t := ledger.Told{Key: e.Subject}
	switch e.Act {
	case ActOrder:
		t.Made = true
		t.Is = map[string]string{"id": e.Subject, "incident_id": e.Details["incident"], "at": at, "actor_kind": e.ActorKind, "actor_id": e.ActorID, "actor_name": e.ActorName,
			"ledger_size": strconv.FormatInt(e.Index+1, 10), "ledger_root": "", "finished_at": "", "sha256": "", "size": "0"}
		for _, column := range []string{"number", "recipient", "purpose", "hosts", "profiles"} {
			t.Is[column] = e.Details[column]
		}
		if i := strings.LastIndex(e.Details["number"], "-P"); i >= 0 {
			t.Is["package_no"] = strings.TrimLeft(e.Details["number"][i+2:], "0")
		}
		t.Some = []string{"frozen", "checkpoint"}
	case ActFrozen:
		t.Is = map[string]string{"frozen": e.Details[FrozenSHA256]}
	case ActWritten:
		if e.Details["first_sha256"] != "" {
			return nil // not the first time
		}
		t.First = map[string]string{"finished_at": at, "sha256": e.Details["sha256"], "size": e.Details["bytes"]}
		if v := e.Details[CheckpointSHA256]; v != "" {
			t.First["checkpoint"] = v
		}
	}
	return []ledger.Told{t}
}

// Checkpoints returns the checkpoints of an organisation's packages: the ledger must go on from
// each of them.
func Checkpoints(ctx context.Context, q sqldb.Queryer, organisationID string) ([]checkpoint.Known, error) {
	rows, err := q.QueryContext(ctx, `SELECT number, checkpoint FROM export_package WHERE organisation_id = $1 AND checkpoint <> '' ORDER BY at, id`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list checkpoints of packages: %w", err)
	}
	defer rows.Close()
	var list []checkpoint.Known
	for rows.Next() {
		var number, stored string
		if err := rows.Scan(&number, &stored); err != nil {
			return nil, fmt.Errorf("list checkpoints of packages: %w", err)
		}
		_, note, _ := strings.Cut(stored, "\n")
		list = append(list, checkpoint.Known{Name: "package " + number, Note: note})
	}
	return list, rows.Err()
}
