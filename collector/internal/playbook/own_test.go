package playbook_test

import (
	"strings"
	"testing"

	"hozen/collector/internal/playbook"
)

const ownSteps = `# ours
format = "hozen-playbook-own/1"

[[item]]
playbook = "malware"
id = "call_maker"
substep = "contain"
who = ["handler"]
text = { ja = "複合機の保守会社に電話する", en = "Call the maintainer of the printer" }

[[item]]
playbook = "common"
id = "shutter"
substep = "detect"
mode = "record"
who = ["owner", "handler"]
when = { ja = "休業日のとき" }
text = { ja = "警備会社に入館を伝える" }
`

func TestOwnItemsStandBehindTheGuides(t *testing.T) {
	b, err := playbook.Load()
	if err != nil {
		t.Fatal(err)
	}
	more, n, err := b.With([]byte(ownSteps))
	if err != nil || n != 2 {
		t.Fatal(n, err)
	}
	plan := more.Plan("malware", nil, nil)
	own, ok := plan.Task("malware.own.call_maker")
	if !ok || !own.Own || !own.Ours || own.Mode != playbook.Remind || own.Text.EN != "Call the maintainer of the printer" {
		t.Errorf("%+v", own)
	}
	for _, s := range plan.Steps {
		for _, sub := range s.Substeps {
			if sub.Key == "contain" && sub.Tasks[len(sub.Tasks)-1].ID != own.ID && sub.Tasks[len(sub.Tasks)-2].ID != own.ID {
				t.Errorf("it stands before the guide's: %+v", sub.Tasks)
			}
		}
	}
	if every, ok := plan.Task("common.own.shutter"); !ok || !every.Inherited || every.When.EN != "休業日のとき" || every.Mode != playbook.Record {
		t.Errorf("%+v", every)
	}
	if _, ok := b.Plan("malware", nil, nil).Task(own.ID); ok {
		t.Error("the book that came with the product was changed")
	}
	if _, n, err := b.With([]byte(`format = "hozen-playbook-own/1"`)); err != nil || n != 0 {
		t.Errorf("no items: %d, %v", n, err)
	}
}

func TestOwnItemsThatAreWrongAreNamedByLine(t *testing.T) {
	b, err := playbook.Load()
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		old, new string
		want     []string
	}{
		"format":         {`own/1"`, `own/2"`, []string{":2: format"}},
		"unknown key":    {"substep = \"contain\"", "substepp = \"contain\"", []string{":7: unknown key \"item.substepp\""}},
		"no TOML":        {"who = [\"handler\"]", "who = [\"handler\"", []string{":"}},
		"playbook":       {`playbook = "malware"`, `playbook = "fire"`, []string{":5: playbook is \"fire\", want one of common"}},
		"id":             {`"call_maker"`, `"Call Maker"`, []string{":6: id is"}},
		"substep":        {`"contain"`, `"nowhere"`, []string{":7: substep is"}},
		"who":            {`who = ["handler"]`, `who = ["cook"]`, []string{":8: who is \"cook\""}},
		"nobody":         {`who = ["handler"]`, `who = []`, []string{":8: who is empty"}},
		"mode":           {`mode = "record"`, `mode = "auto"`, []string{":15: mode is \"auto\""}},
		"no Japanese":    {`{ ja = "警備会社に入館を伝える" }`, `{ en = "Tell the guards" }`, []string{":18: text has no text in ja"}},
		"two at once":    {`id = "call_maker"`, "id = \"\"\nmode = \"x\"", []string{":6: id is", ":7: mode is"}},
		"a missing key":  {"substep = \"detect\"\n", "", []string{":11: substep is \"\""}},
		"line breaks":    {`"警備会社に入館を伝える"`, `"警備会社\nに"`, []string{":18: text has a line break"}},
		"twice the same": {"playbook = \"common\"\nid = \"shutter\"", "playbook = \"malware\"\nid = \"call_maker\"", []string{":13: the id"}},
		"far too long":   {"複合機", strings.Repeat("複", 300), []string{":9: text has"}},
	} {
		text := strings.Replace(ownSteps, c.old, c.new, 1)
		if text == ownSteps {
			t.Fatalf("%s: nothing was changed", what)
		}
		_, _, err := b.With([]byte(text))
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), playbook.OwnFile+want) {
				t.Errorf("%s: %v, want %s", what, err, want)
			}
		}
	}
	for what, text := range map[string]string{"too large": strings.Repeat("#", playbook.MaxOwn+1), "not UTF-8": "format = \"\xff\""} {
		if _, _, err := b.With([]byte(text)); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func FuzzOwn(f *testing.F) {
	b, err := playbook.Load()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(ownSteps))
	f.Add([]byte("item = [{}]"))
	f.Add([]byte("[[item]]\n[[item]]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		more, n, err := b.With(text)
		if err == nil && len(more.Plan("malware", nil, nil).Tasks()) > len(b.Plan("malware", nil, nil).Tasks())+n {
			t.Errorf("%d items became more", n)
		}
	})
}
