package kit

import (
	"context"
	"encoding/base64"
	"fmt"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
	"hozen/internal/usbkit"
)

// The acts of the ledger's entries; their subject is the kit, or the acquisition.
const (
	ActBuild  = "kit.build"
	ActImport = "kit.import"
	ActCode   = "kit.code" // the code on paper was compared later
)

// Audit holds kits and what came back on them against the ledger, by organisation. q is one
// unchanging view. The error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "kit_kit", []string{"organisation_id", "id", "incident_id", "profile", "document_sha256", "made_at", "made_by"}, func(r map[string]string) (string, string) {
		return r["id"], r["id"]
	})
	if err != nil {
		return nil, fmt.Errorf("audit kits: %w", err)
	}
	imports, err := ledger.ReadRows(ctx, q, "kit_import", []string{"organisation_id", "acquisition_id", "kit_id", "endpoint_id", "incident_id", "key_sha256", "public_key", "receipt_code", "code_compared",
		"foreign_kit", "place", "reason", "acquired_by", "witness", "imported_at", "imported_by"}, func(r map[string]string) (string, string) {
		if key, err := base64.StdEncoding.DecodeString(r["public_key"]); err == nil {
			r["public_key"] = digest.Of(key).String()
		}
		return r["acquisition_id"], r["acquisition_id"]
	})
	if err != nil {
		return nil, fmt.Errorf("audit kits: %w", err)
	}
	for key, r := range imports {
		rows[key] = r
	}
	found, err := ledger.EachStanding(ctx, q, []string{ActBuild, ActImport, ActCode}, rows, func(e ledger.Recorded) []ledger.Told {
		is := e.Details
		switch at := sqldb.FormatTime(e.Told); e.Act {
		case ActBuild:
			return []ledger.Told{{Key: e.Subject, Made: true, Is: map[string]string{"id": e.Subject, "incident_id": is["incident"], "profile": is["profile"], "document_sha256": is["kit_sha256"],
				"made_at": at, "made_by": usbkit.Printable(e.ActorName)}}}
		case ActImport:
			t := ledger.Told{Key: e.Subject, Made: true, Is: map[string]string{"acquisition_id": e.Subject, "kit_id": is["kit"], "endpoint_id": is["endpoint"], "incident_id": is["incident"],
				"key_sha256": is["key_sha256"], "public_key": is["key_sha256"], "code_compared": flag(is["code_compared"]), "foreign_kit": flag(is["foreign_kit"]),
				"place": is["place"], "reason": is["reason"], "acquired_by": is["by"], "witness": is["witness"], "imported_at": at, "imported_by": e.ActorName}}
			if d, err := digest.Parse(is["manifest_sha256"]); err == nil {
				t.Is["receipt_code"] = usbkit.ReceiptCode(d)
			}
			return []ledger.Told{t}
		default:
			return []ledger.Told{{Key: e.Subject, Is: map[string]string{"code_compared": "1"}}}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("audit kits: %w", err)
	}
	return found, nil
}

// flag is "true" and anything else as a row has it.
func flag(s string) string {
	return fmt.Sprint(sqldb.FormatBool(s == "true"))
}
