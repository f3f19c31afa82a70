package verify_test

import (
	"encoding/json"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"hozen/internal/verify"
)

// TestTamperedUploads: whatever is done to files that people sent is found under its right
// name, though nobody signed them and the lists of the bag are made anew.
func TestTamperedUploads(t *testing.T) {
	raw, err := os.ReadFile("testdata/packages/v3.zip")
	must(t, err)
	ca, err := os.ReadFile("testdata/packages/v3.ca")
	must(t, err)
	// sent changes the list of them in package.json.
	sent := func(x *bag, change func([]any) []any) {
		var d map[string]any
		must(t, json.Unmarshal([]byte(x.files["data/package.json"]), &d))
		if d["uploads"] = change(d["uploads"].([]any)); len(d["uploads"].([]any)) == 0 {
			delete(d, "uploads")
		}
		b, err := json.Marshal(d)
		must(t, err)
		x.files["data/package.json"] = string(b)
	}
	one := func(x *bag, change func(map[string]any)) {
		sent(x, func(l []any) []any { change(l[0].(map[string]any)); return l })
	}
	const log = "-E02.log"
	sum := regexp.MustCompile(`[0-9a-f]{64}`)
	for name, c := range map[string]struct {
		change     func(x *bag)
		code, file string
		lists      bool // the lists are left as the change leaves them
	}{
		"a byte of it":             {func(x *bag) { x.edit(log, "BYTES", "bytes") }, "stored", log, false},
		"a byte of it, lists kept": {func(x *bag) { x.edit(log, "BYTES", "bytes") }, "digest", log, true},
		"cut off":                  {func(x *bag) { n := x.one(log); x.files[n] = x.files[n][:3] }, "size", log, false},
		"taken away":               {func(x *bag) { x.drop(x.one(log)) }, "missing", log, false},
		"taken away with its words": {func(x *bag) {
			x.drop(x.one(log))
			sent(x, func(l []any) []any { return l[1:] })
		}, "ledger", "package.json", false},
		"all taken away, with their entries": {func(x *bag) {
			x.drop(x.one(log))
			x.drop(x.one("-E03.bin"))
			sent(x, func([]any) []any { return nil })
			for strings.Contains(x.files["data/custody/entries.jsonl"], `\"act\":\"record.upload`) {
				dropLine(x, `\"act\":\"record.upload`)
			}
		}, "ledger", "package.json", false},
		"its entry taken away": {func(x *bag) { dropLine(x, `\"act\":\"record.upload\"`) }, "ledger", log, false},
		"two of them exchanged": {func(x *bag) {
			a, b := x.one(log), x.one("-E03.bin")
			x.files[a], x.files[b] = x.files[b], x.files[a]
		}, "size", log, false},
		"another file, and its words": {func(x *bag) {
			x.edit(log, "BYTES", "bytes")
			one(x, func(u map[string]any) { u["sha256"] = strings.Repeat("a", 64) })
		}, "ledger", log, false},
		"called otherwise by its sender": {func(x *bag) { one(x, func(u map[string]any) { u["name"] = "other" }) }, "ledger", log, false},
		"from another place":             {func(x *bag) { one(x, func(u map[string]any) { u["source"] = "photo" }) }, "ledger", log, false},
		"of another exhibit":             {func(x *bag) { one(x, func(u map[string]any) { u["exhibit_id"] = "exh_00000000000000000000000000" }) }, "ledger", log, false},
		"by another number": {func(x *bag) {
			x.add(strings.Replace(x.one(log), "E02", "E09", 1), x.files[x.one(log)])
			x.drop(x.one(log))
			one(x, func(u map[string]any) {
				u["exhibit"], u["file"] = strings.Replace(u["exhibit"].(string), "E02", "E09", 1), strings.Replace(u["file"].(string), "E02", "E09", 1)
			})
		}, "ledger", "-E09.log", false},
		"one that nobody sent": {func(x *bag) { x.add("data/uploads/evil.log", "evil") }, "package", "uploads/evil.log", false},
		"one that nobody sent, and its words": {func(x *bag) {
			x.add(strings.Replace(x.one(log), "E02", "E09", 1), "evil")
			sent(x, func(l []any) []any {
				u := map[string]any{}
				for k, v := range l[0].(map[string]any) {
					u[k] = v
				}
				u["upload_id"], u["exhibit"], u["file"] = "upl_00000000000000000000000000", strings.Replace(u["exhibit"].(string), "E02", "E09", 1), strings.Replace(u["file"].(string), "E02", "E09", 1)
				return append(l, u)
			})
		}, "ledger", "-E09.log", false},
		"the same twice": {func(x *bag) { sent(x, func(l []any) []any { return append(l, l[0]) }) }, "package", "package.json", false},
		"in another folder": {func(x *bag) {
			one(x, func(u map[string]any) { u["file"] = "uploads/../../x.log" })
		}, "package", "package.json", false},
		"said to be disposed of": {func(x *bag) {
			x.drop(x.one(log))
			one(x, func(u map[string]any) { delete(u, "file"); u["disposed_by"] = 1 })
		}, "ledger", "-E02", false},
		"its words in the ledger": {func(x *bag) {
			n := "data/custody/entries.jsonl"
			at := strings.Index(x.files[n], `record.upload\"`)
			i := sum.FindStringIndex(x.files[n][at:])[0] + at
			x.files[n] = x.files[n][:i] + strings.Repeat("a", 64) + x.files[n][i+64:]
		}, "entry", "entries.jsonl", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := open(t, raw)
			c.change(x)
			if !c.lists {
				x.relist()
			}
			r := checkBytes(t, x.zip(nil), verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: strings.TrimSpace(string(ca))}})
			if !has(r, c.code, c.file) {
				t.Errorf("want %s of %s, got %s %+v", c.code, c.file, r.Verdict, r.Problems)
			}
		})
	}
}

// FuzzDocument: whatever package.json says, files that people sent lie below their folder, each
// once.
func FuzzDocument(f *testing.F) {
	for _, name := range []string{"v3", "v3-disposed", "v1"} {
		b, err := os.ReadFile("testdata/packages/" + name + ".zip")
		must(f, err)
		doc := open(f, b).files["data/package.json"]
		f.Add([]byte(doc))
		f.Add([]byte(strings.ReplaceAll(doc, `"uploads/`, `"uploads/../`)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := verify.ReadDocument(b)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, n := range list {
			if !strings.HasPrefix(n, "data/uploads/") || path.Clean(n) != n || strings.Count(n, "/") != 2 || seen[n] {
				t.Errorf("%q", n)
			}
			seen[n] = true
		}
	})
}
