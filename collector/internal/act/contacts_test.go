package act_test

import (
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/operator"
)

func TestOwnContactsAreVersions(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		handler := x.person("handler", operator.Handler)
		o, err := x.SaveContact(ctx, handler, contact.Own{Kind: contact.Insurer, Name: " 保険会社 ", Tel: "03-1234-5678", Mail: "claim@ins.example", URL: "https://ins.example/", Reference: "P-1", WithinHours: 72})
		ok(t, err)
		if o.ID == "" || o.Version != 1 || o.Name != "保険会社" || !o.At.Equal(x.clock) {
			t.Errorf("%+v", o)
		}
		x.clock = x.clock.Add(time.Hour)
		o.Tel = "03-9999-0000"
		o, err = x.SaveContact(ctx, handler, o)
		ok(t, err)
		_, err = x.SaveContact(ctx, handler, contact.Own{Kind: contact.Vendor, Name: "保守"})
		ok(t, err)
		all, err := x.OwnContacts(ctx, x.owner)
		ok(t, err)
		if len(all) != 2 || all[0].Kind != contact.Vendor || all[1].Tel != "03-9999-0000" || all[1].Version != 2 || all[1].WithinHours != 72 || !all[1].At.Equal(x.clock) {
			t.Errorf("%+v", all)
		}
		now, versions, err := x.OwnContact(ctx, x.owner, o.ID)
		ok(t, err)
		if now.Version != 2 || len(versions) != 2 || versions[0].Tel != "03-1234-5678" || versions[0].ActorName != "handler" {
			t.Errorf("%+v", versions)
		}
		if d := x.details(o.ID); d["tel"] != "03-9999-0000" || d["version"] != "2" {
			t.Errorf("the ledger says %v", d)
		}
		ok(t, x.RemoveContact(ctx, handler, o.ID))
		if all, err = x.OwnContacts(ctx, x.owner); err != nil || len(all) != 1 {
			t.Errorf("%+v, %v", all, err)
		}
		wantErr(t, x.RemoveContact(ctx, handler, o.ID), act.ErrNotFound)
		_, _, err = x.OwnContact(ctx, x.owner, o.ID)
		wantErr(t, err, act.ErrNotFound)
		_, err = x.SaveContact(ctx, handler, o)
		wantErr(t, err, act.ErrNotFound)
		if got := x.acts(o.ID); len(got) != 3 || got[0] != "contact.add" || got[1] != "contact.change" || got[2] != "contact.remove" {
			t.Errorf("%v", got)
		}
		for field, c := range map[string]struct {
			code string
			o    contact.Own
		}{
			"kind":         {"unknown", contact.Own{Kind: "friend", Name: "n"}},
			"name":         {"required", contact.Own{Kind: contact.Vendor, Name: " "}},
			"tel":          {"malformed", contact.Own{Kind: contact.Vendor, Name: "n", Tel: "call me"}},
			"mail":         {"malformed", contact.Own{Kind: contact.Vendor, Name: "n", Mail: "anshin.@ipa.go.jp"}},
			"person":       {"malformed", contact.Own{Kind: contact.Vendor, Name: "n", Person: "a\u202egpj"}},
			"url":          {"malformed", contact.Own{Kind: contact.Vendor, Name: "n", URL: "javascript:alert(1)"}},
			"within_hours": {"range", contact.Own{Kind: contact.Vendor, Name: "n", WithinHours: 5}},
		} {
			_, err := x.SaveContact(ctx, handler, c.o)
			wantInvalid(t, err, field, c.code)
		}
		for _, r := range []operator.Role{operator.Viewer, operator.Auditor, operator.Vendor} {
			a := x.person("p-"+string(r), r)
			_, err := x.SaveContact(ctx, a, contact.Own{Kind: contact.Vendor, Name: "n"})
			wantErr(t, err, act.ErrForbidden)
			wantErr(t, x.RemoveContact(ctx, a, all[0].ID), act.ErrForbidden)
			if _, err := x.OwnContacts(ctx, a); err != nil {
				t.Errorf("%s may not see whom to call: %v", r, err)
			}
		}
		x.ledgerStands()
	})
}
