package finding

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"hozen/internal/artifact/record"
	"hozen/internal/i18n"
)

// Rule is one thing to look for. The file rules.toml, which is the reference of the form,
// holds those that are built in.
type Rule struct {
	// ID names the rule for ever.
	ID string `toml:"id"`
	// On is what it looks at: "process", "socket", "difference", "tool" (a security tool) or
	// "tools" (all security tools together, once).
	On string `toml:"on"`
	// Weight orders findings: 3 look at this first, 2 look, 1 for the sake of completeness.
	Weight int `toml:"weight"`
	// When must hold, all that is set of it.
	When When  `toml:"when"`
	Ja   Words `toml:"ja"`
	En   Words `toml:"en"`
}

// Words are what a person reads, in one language.
type Words struct {
	Title string `toml:"title"`
	// Means says why it is worth a look.
	Means string `toml:"means"`
	// Not says what it does not prove, with the harmless reasons that are common.
	Not string `toml:"not"`
	// Next says what to do about it.
	Next string `toml:"next"`
}

// Words returns the words in a language.
func (r Rule) Words(l i18n.Language) Words {
	if l == i18n.English {
		return r.En
	}
	return r.Ja
}

// When are the conditions of a rule. Lists hold when one of their members does. Paths are
// compared without regard to case and with "/" for "\"; a "*" stands for one folder.
type When struct {
	ExeUnder     []string `toml:"exe_under"`     // the executable lies below one of these folders
	ExeNotUnder  []string `toml:"exe_not_under"` // and below none of these
	Deleted      bool     `toml:"exe_deleted"`   // its file is gone
	Memory       bool     `toml:"exe_memfd"`     // it never had a file
	Name         []string `toml:"name"`          // name of the process or of its executable
	NameNot      []string `toml:"name_not"`
	Parent       []string `toml:"parent"`        // name of the process that started it
	ArgsHave     []string `toml:"args_have"`     // a piece of the command line
	Raised       bool     `toml:"raised"`        // started by an ordinary user, runs as root
	Traced       bool     `toml:"traced"`        // another process controls it
	TalksOutside bool     `toml:"talks_outside"` // has a connection to an address on the internet
	New          string   `toml:"new_since"`     // "usual": not in the acquisition before the incident; "before": not in the earlier acquisition of the incident
	Gone         string   `toml:"gone_since"`    // "before": was in the earlier acquisition of the incident, and is not now

	Listens bool     `toml:"listens"` // takes connections
	Anyone  bool     `toml:"anyone"`  // on every address, not on one or on the PC's own
	Outside bool     `toml:"outside"` // its peer is an address on the internet
	Proto   []string `toml:"proto"`   // see [record.Socket]

	Finding []string `toml:"finding"` // of a difference, see [record.CrossFinding]

	Category []string `toml:"category"` // of a security tool, see [record.SecurityTool]
	State    []string `toml:"state"`    // of a security tool; of "tools": that each of the category is in
	Alone    bool     `toml:"alone"`    // no other tool of the category runs
	ModeHas  []string `toml:"mode_has"` // a setting of it, such as PassiveMode=1
	UnitHas  []string `toml:"unit_has"` // a service of it and how it starts
	UnitNot  []string `toml:"unit_not"` // a service of it and how it starts that says nothing
	PathHas  []string `toml:"path_has"` // how one of its paths begins
	// DateOf names a setting that is a moment; it holds where that lies DaysOld or more before
	// the acquisition, by the same PC's clock.
	DateOf  string `toml:"date_of"`
	DaysOld int    `toml:"days_old"`
}

// On what a rule can look.
const (
	onProcess    = "process"
	onSocket     = "socket"
	onDifference = "difference"
	onTool       = "tool"
	onTools      = "tools"
)

// With what it can compare.
const (
	sinceUsual  = "usual"
	sinceBefore = "before"
)

//go:embed rules.toml
var builtIn []byte

// Rules returns the rules that are built in.
func Rules() ([]Rule, error) { return Parse(builtIn) }

// Parse reads rules and refuses what it does not know, so that a misspelt condition is not a
// rule that always holds.
func Parse(b []byte) ([]Rule, error) {
	var file struct {
		Rules []Rule `toml:"rule"`
	}
	d := toml.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
			return nil, fmt.Errorf("read rules: %s", strict.String())
		}
		return nil, fmt.Errorf("read rules: %w", err)
	}
	seen := map[string]bool{}
	for _, r := range file.Rules {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("rule %.60q: %w", r.ID, err)
		}
		if seen[r.ID] {
			return nil, fmt.Errorf("rule %.60q: stands there twice", r.ID)
		}
		seen[r.ID] = true
	}
	return file.Rules, nil
}

func (r Rule) check() error {
	w := r.When
	aboutProcess := len(w.ExeUnder)+len(w.ExeNotUnder)+len(w.Name)+len(w.NameNot)+len(w.Parent)+len(w.ArgsHave) > 0 ||
		w.Deleted || w.Memory || w.Raised || w.Traced || w.TalksOutside || w.Gone != ""
	aboutSocket := w.Listens || w.Anyone || w.Outside || len(w.Proto) > 0
	aboutTool := len(w.Category)+len(w.State)+len(w.ModeHas)+len(w.UnitHas)+len(w.UnitNot)+len(w.PathHas)+w.DaysOld > 0 || w.Alone || w.DateOf != ""
	if r.On == onTool || r.On == onTools {
		if aboutProcess || aboutSocket || w.New != "" {
			return fmt.Errorf("when: a condition is not about a %s", r.On)
		}
		if err := w.checkTool(r.On); err != nil {
			return err
		}
	}
	switch {
	case r.ID == "" || strings.Trim(r.ID, "abcdefghijklmnopqrstuvwxyz0123456789_") != "":
		return errors.New("id: want a-z, 0-9 and _")
	case r.Weight < 1 || r.Weight > 3:
		return errors.New("weight: want 1 to 3")
	case aboutTool && r.On != onTool && r.On != onTools, r.On == onProcess && aboutSocket, r.On == onDifference && (aboutSocket || aboutProcess || w.New != ""), r.On != onDifference && len(w.Finding) > 0:
		return fmt.Errorf("when: a condition is not about a %s", r.On)
	case r.On == onSocket && (len(w.Parent)+len(w.ArgsHave) > 0 || w.Raised || w.Traced || w.TalksOutside || w.Gone != "" || w.Deleted || w.Memory):
		return errors.New("when: of a socket's process, only exe_under, exe_not_under, name and name_not are known")
	case r.On == onProcess && !aboutProcess && w.New == "", r.On == onSocket && !aboutSocket, r.On == onDifference && len(w.Finding) == 0:
		return errors.New("when: it would hold always")
	case !slices.Contains([]string{onProcess, onSocket, onDifference, onTool, onTools}, r.On):
		return fmt.Errorf("on: there is no %.40q", r.On)
	case w.New != "" && w.New != sinceUsual && w.New != sinceBefore:
		return fmt.Errorf("new_since: there is no %.40q", w.New)
	case w.Gone != "" && w.Gone != sinceBefore:
		return fmt.Errorf("gone_since: there is no %.40q", w.Gone)
	}
	for _, f := range w.Finding {
		if !slices.Contains([]string{record.FindUnlisted, record.FindUnanswered, record.FindCovered, record.FindMounted, record.FindOnlyDiag,
			record.FindOnlyText, record.FindOnlyProc, record.FindOnlySys}, f) {
			return fmt.Errorf("finding: there is no %.40q", f)
		}
	}
	for _, t := range []Words{r.Ja, r.En} {
		if t.Title == "" || t.Means == "" || t.Not == "" || t.Next == "" {
			return errors.New("a title, a meaning, what it does not prove or what to do next is missing in one of the languages")
		}
	}
	return nil
}

// checkTool looks at the conditions on security tools.
func (w When) checkTool(on string) error {
	states := []string{record.SecurityRunning, record.SecurityInstalled, record.SecurityDisabled, record.SecurityAbsent, record.SecurityUnknown}
	for _, s := range w.State {
		if !slices.Contains(states, s) {
			return fmt.Errorf("state: there is no %.40q", s)
		}
	}
	narrow := len(w.ModeHas) + len(w.UnitHas) + len(w.PathHas) + w.DaysOld
	switch {
	case len(w.Category) == 0:
		return errors.New("category: want one, or the rule is about every tool there is")
	case on == onTools && (narrow+len(w.UnitNot) > 0 || w.Alone || len(w.State) == 0):
		return errors.New("when: of all tools together, only category and state are known")
	case on == onTool && len(w.State) == 0 && narrow == 0:
		return errors.New("when: it would hold always")
	case (w.DateOf == "") != (w.DaysOld == 0), w.DaysOld < 0:
		return errors.New("days_old: want date_of and a number of days")
	}
	return nil
}
