package act_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/digest"
)

// A stick that was sent is taken in like one at the collector, stays until its codes were
// compared, and is no exhibit.
func TestStickThatWasSent(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	d := newDepot(t, x)
	x.uploading()
	ctx := t.Context()
	acq, files := d.acquired("", digest.Of([]byte("agent")).String())
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		ok(t, err)
		_, err = w.Write(files[name])
		ok(t, err)
	}
	ok(t, z.Close())
	whole := b.String()
	if _, err := x.BeginStick(ctx, x.person("seer", operator.Viewer), act.NewStick{}); !errors.Is(err, act.ErrForbidden) {
		t.Errorf("by who only looks: %v", err)
	}
	u, err := x.BeginStick(ctx, x.owner, act.NewStick{Name: `E:\stick.zip`, IncidentID: d.incident, Size: int64(len(whole))})
	ok(t, err)
	if u.Name != "stick.zip" || u.Source.Valid() {
		t.Errorf("%+v", u)
	}
	_, err = x.AppendUpload(ctx, x.owner, u.ID, 0, strings.NewReader(whole[:50]))
	ok(t, err)
	if _, err := x.ImportStick(ctx, x.owner, u.ID, act.ImportOrder{}); !errors.Is(err, act.ErrConflict) {
		t.Errorf("a part of it: %v", err)
	}
	_, err = x.AppendUpload(ctx, x.owner, u.ID, 50, strings.NewReader(whole[50:]))
	ok(t, err)
	if _, err := x.FinishUpload(ctx, x.owner, u.ID); !errors.Is(err, act.ErrConflict) {
		t.Errorf("as an exhibit: %v", err)
	}
	if list, err := x.Uploads(ctx, x.owner, d.incident); err != nil || len(list) != 0 {
		t.Errorf("among what people sent: %+v, %v", list, err)
	}
	if _, err := x.ImportStick(ctx, x.owner, u.ID, act.ImportOrder{ReceiptCodes: []string{"0000-0000-0000"}}); !errors.Is(err, act.ErrReceiptCode) {
		t.Errorf("another code: %v", err)
	}
	seer, err := x.ImportStick(ctx, act.Actor{Kind: act.ByOperator, ID: "opr_none"}, u.ID, act.ImportOrder{})
	if err == nil || len(seer.Results) > 0 {
		t.Errorf("by nobody: %+v", seer)
	}
	for _, c := range []struct {
		codes []string
		state string
		stays int
	}{{nil, act.ImportTaken, 1}, {nil, act.ImportAlready, 1}, {[]string{d.codes[acq]}, act.ImportAlready, 0}} {
		got, err := x.ImportStick(ctx, x.owner, u.ID, act.ImportOrder{ReceiptCodes: c.codes})
		if err != nil || len(got.Results) != 1 || got.Results[0].State != c.state || got.Results[0].CodeCompared != (c.codes != nil) {
			t.Errorf("%+v, %v", got, err)
		}
		if list, err := x.Sticks(ctx, x.owner); err != nil || len(list) != c.stays {
			t.Errorf("%d are there, %v", len(list), err)
		}
	}
	if _, err := x.ImportStick(ctx, x.owner, u.ID, act.ImportOrder{}); !errors.Is(err, act.ErrNotFound) {
		t.Errorf("gone: %v", err)
	}
	if got := strings.Join(x.acts(u.ID), " "); got != record.ActBegin+" "+record.ActForget {
		t.Errorf("%s", got)
	}
	sent := x.sent(d.incident, "fw.log", "x")
	if _, err := x.ImportStick(ctx, x.owner, sent.ID, act.ImportOrder{}); !errors.Is(err, act.ErrNotFound) {
		t.Errorf("of another file: %v", err)
	}
	x.ledgerStands()
}
