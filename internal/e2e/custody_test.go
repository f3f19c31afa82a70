package e2e

import (
	"encoding/json"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCustodyUntilNothingIsLeft: evidence is received, handed to a police officer who has no
// account, sent back, verified, held, and disposed of once the hold has ended; what is left
// proves what it was, and the ledger of all that can be checked elsewhere.
func TestCustodyUntilNothingIsLeft(t *testing.T) {
	ctx := within(t, patience)
	s := newSystem(t, ctx, options{})
	incident, err := s.agent.Report(ctx, "画面に身代金の要求が出ました")
	must(t, err)
	s.awaitAcquisitions(t, ctx, 1)
	item := incident + "-E01"
	do := func(want int, args ...string) (out, errOut string) {
		t.Helper()
		r, err := s.collector.CLI(ctx, append([]string{"--lang", "en", "--break-glass", "担当者の不在"}, args...)...)
		must(t, err)
		if r.Code != want {
			t.Fatalf("%q: exit code %d, want %d\n%s%s", args, r.Code, want, r.Stdout, r.Stderr)
		}
		return r.Stdout, r.Stderr
	}
	type holder struct{ Person, Organisation string }
	show := func() (x struct {
		Number   string
		Holder   holder
		Gaps     []struct{ Code string }
		Events   []struct{ Type, Result string }
		Items    int
		Disposed string `json:"disposed_at"`
	}) {
		t.Helper()
		out, _ := do(0, "--json", "custody", "show", item)
		must(t, json.Unmarshal([]byte(out), &x))
		return x
	}
	first := show()
	if first.Number != item || first.Items == 0 || first.Holder.Organisation == "" || len(first.Gaps) != 0 {
		t.Fatalf("%+v", first)
	}
	own := first.Holder.Organisation
	if out, _ := do(0, "evidence", "list", incident); !strings.Contains(out, item+"-01") {
		t.Errorf("the pieces are not numbered within the exhibit:\n%s", out)
	}

	do(0, "custody", "describe", item, "--field", "witness=総務 高橋", "--field", "serial=PF3ABCDE")
	do(0, "custody", "record", item, "hand_over", "--to", "山田 花子", "--to-org", "サンプル県警", "--place", "本社", "--medium", "USBメモリ", "--seal", "S-77", "--purpose", "被害届")
	if x := show(); x.Holder.Person != "山田 花子" || x.Holder.Organisation != "サンプル県警" || len(x.Gaps) != 0 {
		t.Errorf("%+v", x)
	}
	do(0, "custody", "record", item, "ship", "--to-org", own, "--carrier", "サンプル運輸", "--tracking", "1234")
	if out, _ := do(9, "custody", "gaps", incident); !strings.Contains(out, item) {
		t.Errorf("nothing is said of what never arrived:\n%s", out)
	}
	do(0, "custody", "record", item, "receive", "--to-org", own)
	do(0, "custody", "gaps", incident)
	do(0, "custody", "verify", item, "--purpose", "返却後の確認")

	do(0, "custody", "hold", incident, "--reason", "訴訟の予告")
	do(7, "custody", "hold", incident, "--reason", "again")
	if _, errOut := do(7, "custody", "dispose", item, "--reason", "終了", "--yes"); !strings.Contains(errOut, "release-hold") {
		t.Errorf("it is not said what to do:\n%s", errOut)
	}
	do(0, "custody", "release-hold", incident, "--reason", "和解")
	do(0, "incident", "close", incident, "終息")
	do(2, "custody", "dispose", item, "--yes")
	if _, errOut := do(2, "custody", "dispose", item, "--reason", "終了"); !strings.Contains(errOut, "--yes") || !strings.Contains(errOut, item) {
		t.Errorf("what goes is not shown:\n%s", errOut)
	}
	blobs := func() (n int) {
		must(t, filepath.WalkDir(filepath.Join(s.collector.Dir, "evidence"), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				n++
			}
			return err
		}))
		return n
	}
	before := blobs()
	do(0, "custody", "dispose", item, "--reason", "手続きの終了", "--yes")
	if n := blobs(); n >= before {
		t.Errorf("%d files before, %d after", before, n)
	}
	x := show()
	if x.Disposed == "" || len(x.Gaps) != 0 {
		t.Errorf("%+v", x)
	}
	var types []string
	for _, e := range x.Events {
		types = append(types, e.Type)
	}
	if want := []string{"collect", "receive", "hand_over", "ship", "receive", "verify", "hold", "release_hold", "dispose"}; !slices.Equal(types, want) {
		t.Errorf("%q, want %q", types, want)
	}
	do(7, "custody", "dispose", item, "--reason", "again", "--yes")
	do(7, "evidence", "get", item+"-01", "--out", filepath.Join(t.TempDir(), "x"))
	out, _ := do(0, "ledger", "--json")
	for _, want := range []string{"custody.dispose", "custody.disposed", "手続きの終了", item + "-01 artifacts/"} {
		if !strings.Contains(out, want) {
			t.Errorf("the ledger does not say %q", want)
		}
	}
	s.clean(t, ctx)
	dir := filepath.Join(t.TempDir(), "ledger")
	do(0, "ledger", "export", dir)
	if out, errOut, code := command(t, programs(t).Collector, "ledger", "verify", dir); code != 13 {
		t.Errorf("ledger verify: exit code %d\n%s%s", code, out, errOut)
	}
}
