package act_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/exhibit"
	"hozen/internal/artifact"
	"hozen/internal/verify"
)

// printed is what can be copied out of a PDF, without white space.
func printed(t *testing.T, b []byte) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("no pdftotext (apt-get install poppler-utils)")
	}
	name := filepath.Join(t.TempDir(), "form.pdf")
	ok(t, os.WriteFile(name, b, 0o600))
	out, err := exec.CommandContext(t.Context(), tool, "-raw", "-enc", "UTF-8", name, "-").Output()
	ok(t, err)
	return unspaced(string(out))
}

func unspaced(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

func TestCustodyForm(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		all := captured()
		all[artifact.KindClock] = []string{`{"wall":"2026-11-22T00:00:00Z","boot_ns":5,"zone":"Asia/Tokyo","zone_abbrev":"JST","utc_offset_s":32400,"ntp":{"state":"unsynchronised"}}`}
		o.keiri.change = func(a *evidencetest.Acquisition) {
			a.Add(t, artifact.KindNetConfig, []byte(`{"type":"interface","iface":"enp3s0","oper":"up"}`+"\n"), 1)
		}
		o.keiri.send("volatile", all)
		ok(t, o.DescribeExhibit(t.Context(), o.owner, o.incident+"-E01", map[exhibit.Field]string{exhibit.Witness: "立会 次郎", exhibit.Serial: "S/N 42", exhibit.ClockOffset: "時報より 2 分進み"}))
		_, err := o.RecordCustody(t.Context(), o.owner, o.incident+"-E01", exhibit.Event{Type: exhibit.HandOver, At: o.clock, To: exhibit.Party{Person: "警察 花子", Organisation: "県警察本部"},
			Medium: exhibit.Medium{Type: "USB SSD", SealNo: "封-7"}, Purpose: "捜査のため", Witness: "証人 三郎"})
		ok(t, err)
		var b bytes.Buffer
		ok(t, o.CustodyForm(t.Context(), o.owner, o.incident, &b))
		e := o.exhibit("E01")
		acts := o.acts(e.IncidentID)
		if len(acts) == 0 || acts[len(acts)-1] != "export.form" {
			t.Errorf("the ledger does not say that somebody took it: %v", acts)
		}
		packed := o.write(o.order(act.NewExport{}))
		if got := o.check(packed, verify.PackageAnchor{}); got.Verdict != verify.Consistent {
			t.Errorf("%s %+v", got.Verdict, got.Problems)
		}
		packedFiles := files(t, packed)
		readable := strings.NewReplacer("<br>", "", "&#39;", "'").Replace(packedFiles["data/custody/form.html"])
		for name, got := range map[string]string{"now": printed(t, b.Bytes()), "in a package": printed(t, []byte(packedFiles["data/custody/form.pdf"])), "to read in a browser": unspaced(readable)} {
			for _, want := range []string{o.incident, "=身代金の画面", e.Number, "揮発性情報 volatile", "立会 次郎", "S/N 42", "警察 花子 / 県警察本部", "手渡し hand_over", "封-7", "捜査のため", e.Acquisition.ManifestSHA256, "経理PC-01",
				"取得 collect", "受領 receive", "一致 match", "hostinfo: 権限不足 denied", "現在の保管者", "端末の時計 endpoint's clock", "ECDSA P-256",
				"Asia/Tokyo JST +09:00 / 同期なし unsynchronised", "時報より 2 分進み", "接続 connected (enp3s0)", "立会 witness: 証人 三郎"} {
				if !strings.Contains(got, unspaced(want)) {
					t.Errorf("the form %s does not say %q", name, want)
				}
			}
		}
		if err := o.CustodyForm(t.Context(), o.owner, "INC-2026-9999", &b); !errors.Is(err, act.ErrNotFound) {
			t.Errorf("an incident that is not there: %v", err)
		}
	})
}
