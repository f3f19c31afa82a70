// Package finding says what in the records of an acquisition deserves a person's look
// (気になる点), by rules that are data. It knows nothing of HTML, SQL or where records come
// from.
//
// A finding is no verdict: each rule says in plain words what was seen, why it is worth a
// look, and what it does not prove. That no rule applies proves nothing either.
package finding

import (
	"cmp"
	"slices"
	"time"

	"hozen/internal/artifact/record"
)

// Scene is what the rules look at: the records of one acquisition and, where there are any,
// those of two earlier ones of the same PC to compare with. Its slices are only read.
type Scene struct {
	Processes   []record.Process
	Sockets     []record.Socket
	Differences []Difference
	// Tools are the security tools that were looked for; nil: nobody looked.
	Tools []record.SecurityTool
	// At is when the acquisition began, by the clock of the PC. Optional.
	At time.Time
	// Before was acquired in the same incident, such as the flash capture before isolation.
	// Nil: there is none, or it holds no processes.
	Before *Scene
	// Usual was acquired before the incident, when nothing was known to be wrong. Nil as above.
	Usual *Scene
}

// Difference is one thing on which two views of the system did not agree; see
// [record.CrossFinding].
type Difference struct {
	Finding string // such as [record.FindUnlisted]
	Name    string // of what is hidden, as far as it is known
	PID     int    // 0: it is no process
}

// Finding is one thing that a rule applies to. One of the pointers is set.
type Finding struct {
	Process    *record.Process
	Socket     *record.Socket
	Difference *Difference
	Tool       *record.SecurityTool // without a name: all of its category
	// Past says that it stands in [Scene.Before], not in the scene itself.
	Past bool
}

// Group is what one rule found.
type Group struct {
	Rule     Rule
	Findings []Finding // at most [MaxPerRule]
	More     int       // how many others there are
}

// MaxPerRule is how many findings of one rule are given: an attacker can start as many
// processes as he likes.
const MaxPerRule = 50

// Report is what came of all rules.
type Report struct {
	Groups []Group // of rules that apply, the heaviest first
	// Idle are the rules that could not be asked, because there is nothing to compare with or
	// what they look at was not acquired. That is not the same as having found nothing.
	Idle []Rule
	// Asked is how many rules could be asked.
	Asked int
}

// Look asks all rules.
func Look(rules []Rule, s Scene) Report {
	x := index(s)
	var r Report
	for _, rule := range rules {
		if !x.can(rule) {
			r.Idle = append(r.Idle, rule)
			continue
		}
		r.Asked++
		g := Group{Rule: rule}
		for f := range x.candidates(rule) {
			if !x.applies(rule, f) {
				continue
			}
			if len(g.Findings) == MaxPerRule {
				g.More++
				continue
			}
			g.Findings = append(g.Findings, f)
		}
		if len(g.Findings) > 0 {
			r.Groups = append(r.Groups, g)
		}
	}
	slices.SortStableFunc(r.Groups, func(a, b Group) int { return cmp.Compare(b.Rule.Weight, a.Rule.Weight) })
	return r
}
