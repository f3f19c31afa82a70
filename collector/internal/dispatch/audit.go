package dispatch

import (
	"context"
	"fmt"
	"strconv"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries. Their subject is the command, that of the two on releases
// which wait for a second person the endpoint. An order's own is [Verb.Act].
const (
	ActAccept   = "dispatch.accept"
	ActFinish   = "dispatch.finish"
	ActWithdraw = "dispatch.withdraw"
	ActExpire   = "dispatch.expire" // its endpoint was revoked
	ActRenumber = "dispatch.renumber"
	ActAsk      = "dispatch.ask_release"
	ActRefuse   = "dispatch.refuse_release"
)

// Act is what the ledger's entry of an order is called.
func (v Verb) Act() string { return "dispatch." + string(v) }

// The details that entries of earlier versions lack.
const (
	OrderSHA256 = "order_sha256" // see [Command.Short]
	AcceptedAt  = "accepted_at"
	FinishedAt  = "finished_at"
	ReleaseID   = "release_id" // in the entry of a release, or of a withdrawn isolation, that a second person agreed to
	ReleaseOf   = "incident"   // in the entry of who asked for it
)

// Short stands for what the entry of an order does not say: until when it may be begun, what
// comes after it and how to isolate.
func (c Command) Short() (string, error) {
	text, err := c.Isolation.text()
	if err != nil {
		return "", err
	}
	return short(sqldb.FormatTime(c.ExpiresAt), string(c.Then), text), nil
}

func short(expires, then, isolation string) string {
	return ledger.Short("order", expires+"\n"+then+"\n"+isolation)
}

// Audit holds the orders and what came of them against the ledger, by organisation. q is one
// unchanging view. The error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "dispatch_command", []string{"organisation_id", "id", "endpoint_id", "counter", "verb", "profile", "isolate_first", "incident_id", "issuer", "issued_by", "reason",
		"issued_at", "expires_at", "after_seal", "isolation", "status", "accepted_at", "finished_at", "received_at", "detail", "acquisition_id"}, func(r map[string]string) (string, string) {
		r["isolation"] = short(r["expires_at"], r["after_seal"], r["isolation"])
		delete(r, "expires_at")
		delete(r, "after_seal")
		return r["id"], r["id"]
	})
	if err == nil {
		var found map[string][]ledger.Difference
		if found, err = ledger.EachStanding(ctx, q, []string{Acquire.Act(), Isolate.Act(), Release.Act(), Preserve.Act(), ActAccept, ActFinish, ActWithdraw, ActExpire, ActRenumber}, rows, told); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("audit orders: %w", err)
}

func told(e ledger.Recorded) []ledger.Told {
	at := sqldb.FormatTime(e.Told)
	t := ledger.Told{Key: e.Subject}
	switch e.Act {
	case ActAccept:
		t.Is = map[string]string{"status": string(Accepted), "received_at": "", "detail": "", "finished_at": "", "acquisition_id": ""}
		t.Later(e, "accepted_at", AcceptedAt)
	case ActFinish, ActWithdraw:
		t.Is = map[string]string{"status": e.Details["status"], "detail": e.Details["detail"], "acquisition_id": e.Details["acquisition"], "received_at": at}
		t.Later(e, "finished_at", FinishedAt)
		if v := e.Details[AcceptedAt]; v != "" {
			t.Is["accepted_at"] = v
		}
	case ActExpire:
		t.Is = map[string]string{"status": string(Expired), "detail": e.Details["detail"], "acquisition_id": "", "received_at": at, "finished_at": ""}
	case ActRenumber:
		t.Is = map[string]string{"counter": e.Details["to"]}
	default:
		t.Made = true
		by := e.ActorID
		if by == "" {
			by = e.ActorKind
		}
		t.Is = map[string]string{"id": e.Subject, "verb": e.Details["command"], "issuer": e.ActorName, "issued_by": by, "issued_at": at,
			"endpoint_id": e.Details["endpoint"], "counter": e.Details["counter"], "profile": e.Details["profile"], "incident_id": e.Details["incident"], "reason": e.Details["reason"],
			"isolate_first": strconv.FormatInt(sqldb.FormatBool(e.Details["isolate_first"] == "true"), 10),
			"status":        string(Queued), "accepted_at": "", "finished_at": "", "received_at": "", "detail": "", "acquisition_id": ""}
		t.Later(e, "isolation", OrderSHA256)
	}
	return []ledger.Told{t}
}

// AuditReleases holds the releases that took a second person against the ledger, by
// organisation. q is one unchanging view. The error is only about not being able to look.
func AuditReleases(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "dispatch_release", []string{"organisation_id", "id", "endpoint_id", "incident_id", "reason", "asked_by", "asked_name", "asked_at", "decided_by", "decided_name", "decided_at",
		"decision", "command_id"}, func(r map[string]string) (string, string) { return r["id"], r["endpoint_id"] })
	if err == nil {
		var found map[string][]ledger.Difference
		if found, err = ledger.EachStanding(ctx, q, []string{ActAsk, ActRefuse, Release.Act(), ActWithdraw}, rows, toldOfReleases); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("audit releases: %w", err)
}

func toldOfReleases(e ledger.Recorded) []ledger.Told {
	at := sqldb.FormatTime(e.Told)
	t := ledger.Told{Key: e.Details["release"]}
	decided := []string{"decided_by", "decided_name", "decided_at", "decision", "command_id"}
	switch e.Act {
	case ActAsk:
		t.Made = true
		t.Is = map[string]string{"id": t.Key, "endpoint_id": e.Subject, "reason": e.Details["reason"], "asked_by": e.ActorID, "asked_name": e.ActorName, "asked_at": at}
		if _, ok := e.Details[ReleaseOf]; ok {
			t.Is["incident_id"] = e.Details[ReleaseOf]
			for _, column := range decided {
				t.Is[column] = ""
			}
		} else { // whose agreement was not named
			t.Some = append(decided, "incident_id")
		}
	case ActRefuse:
		t.Is = map[string]string{"decided_by": e.ActorID, "decided_name": e.ActorName, "decided_at": at, "decision": string(ReleaseRefused), "command_id": ""}
	default:
		if t.Key = e.Details[ReleaseID]; t.Key == "" {
			return nil
		}
		t.Is = map[string]string{"decided_by": e.ActorID, "decided_name": e.ActorName, "decided_at": at, "decision": string(ReleaseAgreed), "command_id": e.Subject}
	}
	return []ledger.Told{t}
}
