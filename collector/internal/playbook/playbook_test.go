package playbook_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"hozen/collector/internal/playbook"
)

func load(t *testing.T) *playbook.Book {
	t.Helper()
	b, err := playbook.Load()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFourPlaybooksAndTheCommonPage(t *testing.T) {
	b := load(t)
	if got := strings.Join(b.Keys(), " "); got != "common leak malware outage ransomware" {
		t.Errorf("playbooks %s", got)
	}
	guide, ours := 0, 0
	for _, key := range b.Keys() {
		p, _ := b.Find(key)
		for _, i := range p.Items {
			if i.Ours {
				ours++
			} else {
				guide++
			}
		}
	}
	if guide != 83 || ours != 17 {
		t.Errorf("%d items of the guide and %d of ours", guide, ours)
	}
}

func TestEveryPlanHasEveryMatterOnce(t *testing.T) {
	b := load(t)
	common, _ := b.Find(playbook.Common)
	for _, key := range b.Keys() {
		p, _ := b.Find(key)
		plan := b.Plan(key, nil, nil)
		seen := map[string]bool{}
		var covers []string
		for _, task := range plan.Tasks() {
			if seen[task.ID] {
				t.Errorf("%s: %s stands twice", key, task.ID)
			}
			seen[task.ID] = true
			covers = append(covers, task.Covers...)
		}
		for _, i := range p.Items {
			if !seen[i.ID] {
				t.Errorf("%s: %s is lost", key, i.ID)
			}
		}
		for _, i := range common.Items {
			for _, c := range i.Covers {
				if !slices.Contains(covers, c) && !slices.Contains(p.Without, i.ID) {
					t.Errorf("%s: nothing covers %s", key, c)
				}
			}
		}
		if plan.Next == nil || plan.Next.Substep != "detect" {
			t.Errorf("%s begins with %+v", key, plan.Next)
		}
	}
}

func TestUnknownTypeGetsTheCommonPage(t *testing.T) {
	for _, key := range []string{"unknown", "", "lost_device"} {
		if p := load(t).Plan(key, nil, nil); p.Playbook.Key != playbook.Common {
			t.Errorf("%q gets %s", key, p.Playbook.Key)
		}
	}
}

func TestRansomwareImpliesWhatTheDataSay(t *testing.T) {
	p, _ := load(t).Find("ransomware")
	if !slices.Equal(p.Implies, []string{"malware"}) || !slices.Equal(p.MayBe, []string{"outage", "leak"}) {
		t.Errorf("implies %v, may be %v", p.Implies, p.MayBe)
	}
}

func mark(item string, s playbook.State) playbook.Mark { return playbook.Mark{Item: item, State: s} }

func TestNextIsTheFirstThatSomebodyHasToDo(t *testing.T) {
	b := load(t)
	var marks []playbook.Mark
	next := func(m playbook.Measured) string {
		p := b.Plan("malware", marks, m)
		if p.Next == nil {
			return ""
		}
		return p.Next.ID
	}
	if got := next(nil); got != "malware.detect.1" {
		t.Fatal(got)
	}
	marks = append(marks, mark("malware.detect.1", playbook.Done))
	// malware.detect.2 is the product's, base.detect.2 is for some cases only.
	if got := next(nil); got != "malware.organize.1" {
		t.Error(got)
	}
	marks = append(marks, mark("malware.organize.1", playbook.NotApplicable))
	if got := next(nil); got != "malware.contain.1" {
		t.Error(got)
	}
	marks = append(marks, mark("malware.organize.1", playbook.Open))
	if got := next(nil); got != "malware.organize.1" {
		t.Errorf("a tick that was taken back still counts: %s", got)
	}
	for _, task := range b.Plan("malware", nil, nil).Tasks() {
		marks = append(marks, mark(task.ID, playbook.Done))
	}
	if p := b.Plan("malware", marks, nil); p.Next != nil || p.Done != p.Total {
		t.Errorf("%d of %d, next %+v", p.Done, p.Total, p.Next)
	}
}

func TestTheProductTicksWhatItMeasuresOnly(t *testing.T) {
	b := load(t)
	for truth, want := range map[playbook.Truth]playbook.State{playbook.Yes: playbook.Done, playbook.No: playbook.Open, playbook.Unknown: playbook.Open} {
		p := b.Plan("malware", nil, playbook.Measured{playbook.EvidenceSealed: truth})
		if task, _ := p.Task("malware.detect.2"); task.State != want || task.Itself != (want == playbook.Done) {
			t.Errorf("%v: %+v", truth, task)
		}
		// Somebody has to say that it is done as far as possible.
		if task, _ := p.Task("malware.preserve.1"); task.State != playbook.Open || task.Measured != truth {
			t.Errorf("%v: %+v", truth, task)
		}
	}
	p := b.Plan("malware", []playbook.Mark{mark("malware.detect.2", playbook.Open)}, playbook.Measured{playbook.EvidenceSealed: playbook.Yes})
	if task, _ := p.Task("malware.detect.2"); task.State != playbook.Open {
		t.Error("a person's word is overruled")
	}
}

func TestGates(t *testing.T) {
	b := load(t)
	gates := func(key, item string, marks []playbook.Mark, m playbook.Measured) string {
		task, ok := b.Plan(key, marks, m).Task(item)
		if !ok {
			t.Fatalf("%s has no %s", key, item)
		}
		return strings.Join(task.Closed, " ")
	}
	both := playbook.Measured{playbook.EvidenceSealed: playbook.Yes, playbook.IsolationMeasured: playbook.Yes}
	for _, c := range []struct {
		m    playbook.Measured
		want string
	}{
		{nil, "evidence_sealed isolation_measured"},
		{playbook.Measured{playbook.EvidenceSealed: playbook.No, playbook.IsolationMeasured: playbook.Yes}, "evidence_sealed"},
		{playbook.Measured{playbook.EvidenceSealed: playbook.Yes}, "isolation_measured"},
		{both, ""},
	} {
		if got := gates("malware", "malware.recover.1", nil, c.m); got != c.want {
			t.Errorf("%v: closed are %q, want %q", c.m, got, c.want)
		}
	}
	if got := gates("ransomware", "ransomware.recover.2", nil, both); got != "ransomware.contain.3" {
		t.Errorf("backups that nobody detached: %q", got)
	}
	for _, s := range []playbook.State{playbook.Done, playbook.NotApplicable} {
		if got := gates("ransomware", "ransomware.recover.2", []playbook.Mark{mark("ransomware.contain.3", s)}, both); got != "" {
			t.Errorf("%s: %q", s, got)
		}
	}
}

func TestWhatWasDoneBeforeTheTypeWasKnown(t *testing.T) {
	b := load(t)
	marks := []playbook.Mark{mark("base.organize.1", playbook.Done)}
	p := b.Plan("malware", marks, nil)
	if task, _ := p.Task("malware.organize.1"); task.State != playbook.Open {
		t.Error("half of what the item covers was done")
	}
	marks = append(marks, mark("base.organize.2", playbook.Done))
	task, _ := b.Plan("malware", marks, nil).Task("malware.organize.1")
	if task.State != playbook.Done || task.Elsewhere == nil || task.Elsewhere.Item != "base.organize.2" || task.By != nil {
		t.Errorf("%+v", task)
	}
	marks = append(marks, mark("base.organize.2", playbook.Open))
	if task, _ := b.Plan("malware", marks, nil).Task("malware.organize.1"); task.State != playbook.Open {
		t.Error("a tick that was taken back still counts")
	}
	marks = append(marks, mark("base.organize.2", playbook.Done), mark("malware.organize.1", playbook.Open))
	if task, _ := b.Plan("malware", marks, nil).Task("malware.organize.1"); task.State != playbook.Open || task.Elsewhere != nil {
		t.Error("the item's own mark does not count")
	}
}

// files is a copy of the product's data.
func files(t *testing.T) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	dir := os.DirFS("data")
	names, err := fs.Glob(dir, "*.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := fs.ReadFile(dir, n)
		if err != nil {
			t.Fatal(err)
		}
		m[n] = &fstest.MapFile{Data: b}
	}
	return m
}

// TestAnotherEditionReordersWithoutCode reads the same items with the steps in the
// order of another edition.
func TestAnotherEditionReordersWithoutCode(t *testing.T) {
	m := files(t)
	m["frame.toml"].Data = []byte(strings.Replace(string(m["frame.toml"].Data), `use = "draft"`, `use = "2023"`, 1))
	b, err := playbook.Read(m)
	if err != nil {
		t.Fatal(err)
	}
	order := func(p playbook.Plan) (keys []string) {
		for _, s := range p.Steps {
			for _, ss := range s.Substeps {
				keys = append(keys, ss.Key)
			}
		}
		return keys
	}
	if got := strings.Join(order(b.Plan("leak", nil, nil)), " "); got != "detect organize contain preserve report publish recover prevent" {
		t.Error(got)
	}
	if got := strings.Join(order(load(t).Plan("leak", nil, nil)), " "); got != "detect organize contain preserve recover report publish prevent" {
		t.Error(got)
	}
	if a, b := len(b.Plan("leak", nil, nil).Tasks()), len(load(t).Plan("leak", nil, nil).Tasks()); a != b {
		t.Errorf("%d items in one edition, %d in the other", a, b)
	}
}

func TestLoaderRefuses(t *testing.T) {
	for _, c := range []struct{ name, file, old, new, want string }{
		{"an unknown key", "malware.toml", `mode = "auto"`, "mode = \"auto\"\ncolour = \"red\"", "unknown key"},
		{"an identifier twice", "malware.toml", `id = "malware.detect.2"`, `id = "malware.detect.1"`, `the item "malware.detect.1" stands twice`},
		{"an identifier of another file", "leak.toml", `id = "leak.detect.2"`, `id = "malware.detect.1"`, "stands twice"},
		{"no Japanese", "malware.toml", `ja = "IPAに届け出る"`, `ja = ""`, "malware.report.3 has no text in ja"},
		{"no English", "malware.toml", `, en = "Notify IPA"`, ``, "malware.report.3 has no text in en"},
		{"a gate that names nothing", "ransomware.toml", `"ransomware.contain.3"]`, `"ransomware.contain.33"]`, `the gate "ransomware.contain.33" of ransomware.recover.2`},
		{"a gate of another playbook", "malware.toml", `gates = ["evidence_sealed"]`, `gates = ["leak.detect.1"]`, `the gate "leak.detect.1"`},
		{"a gate that waits for itself", "malware.toml", `gates = ["evidence_sealed"]`, `gates = ["malware.recover.2"]`, `the gate "malware.recover.2"`},
		{"a substep that does not exist", "outage.toml", `substep = "prevent"`, `substep = "later"`, `"later", which does not exist`},
		{"a mode", "outage.toml", `mode = "record"`, `mode = "force"`, `"force"`},
		{"somebody", "outage.toml", `who = ["owner"]`, `who = ["cat"]`, `"cat"`},
		{"nobody", "outage.toml", `who = ["owner"]`, `who = []`, "nobody's"},
		{"neither page nor ours", "malware.toml", "ours = true\n", "", "marked as ours"},
		{"page and ours", "malware.toml", "page = \"malware\"\n", "page = \"malware\"\nours = true\n", "marked as ours"},
		{"a page", "malware.toml", `page = "malware"`, `page = "cover"`, `"cover"`},
		{"a matter", "malware.toml", `covers = ["isolate"]`, `covers = ["isolat"]`, `"isolat"`},
		{"an item of the record", "malware.toml", `fills = ["people"]`, `fills = ["person"]`, `"person"`},
		{"an act", "malware.toml", `act = "isolate"`, `act = "shoot"`, `"shoot"`},
		{"a fact", "malware.toml", `fact = "isolation_measured"`, `fact = "luck"`, `"luck"`},
		{"a footnote", "malware.toml", `footnotes = ["s2"]`, `footnotes = ["s9"]`, `"s9"`},
		{"auto without a fact", "malware.toml", "mode = \"auto\"\nwho = [\"handler\"]\nours = true\nfact = \"evidence_sealed\"", "mode = \"auto\"\nwho = [\"handler\"]\nours = true", "done by itself"},
		{"a form of identifiers", "malware.toml", `id = "malware.detect.1"`, `id = "Malware 1"`, "no identifier"},
		{"half a condition", "malware.toml", `when = { ja = "駆除できなかったとき", en = "When removal failed" }`, `when = { ja = "駆除できなかったとき" }`, "when of malware.recover.2 has no text in en"},
		{"a key that is not the file's", "outage.toml", `key = "outage"`, `key = "leak"`, `has the key "leak"`},
		{"a format", "outage.toml", `hozen-playbook/1`, `hozen-playbook/2`, "format"},
		{"an item left out that is none", "outage.toml", `without = ["base.detect.3"`, `without = ["base.detect.4"`, `"base.detect.4"`},
		{"an edition that leaves out a substep", "frame.toml", `substeps = ["report", "publish"]`, `substeps = ["report"]`, `edition 2023 leaves out the substep "publish"`},
		{"an edition that is not there", "frame.toml", `use = "draft"`, `use = "2030"`, `"2030"`},
		{"a fact without words", "frame.toml", `key = "timeline_kept"`, `key = "time"`, `"timeline_kept" has no words`},
		{"no TOML", "frame.toml", `use = "draft"`, `use = `, "frame.toml"},
	} {
		m := files(t)
		text := string(m[c.file].Data)
		if !strings.Contains(text, c.old) {
			t.Errorf("%s: %s has no %q", c.name, c.file, c.old)
			continue
		}
		m[c.file].Data = []byte(strings.Replace(text, c.old, c.new, 1))
		if _, err := playbook.Read(m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s…", c.name, err, c.want)
		}
	}
	m := files(t)
	delete(m, "common.toml")
	if _, err := playbook.Read(m); err == nil {
		t.Error("no common page is needed")
	}
}
