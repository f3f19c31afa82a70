package main

import (
	"strings"
	"time"

	"hozen/collector/internal/console"
	"hozen/collector/internal/localapi"
)

// isolationWord is the state of an isolation with the age of its measurement, in the
// words of the console.
func (c *cli) isolationWord(i localapi.Isolation) string {
	state := c.word("isolation.state.", i.Observed)
	if i.Drill {
		state += " " + c.words.Text("drill")
	}
	if i.AgeSeconds == nil {
		return state
	}
	return state + " (" + c.age(i.AgeSeconds) + ")"
}

// age is how long ago something was measured.
func (c *cli) age(seconds *int64) string {
	if seconds == nil {
		return "-"
	}
	return console.Ago(c.words, time.Duration(*seconds)*time.Second)
}

// isolationRows says what was measured of an isolation, and how old that is.
func (c *cli) isolationRows(i localapi.Isolation) [][2]string {
	rows := [][2]string{
		{"isolation", c.isolationWord(i)}, {"ordered", c.word("isolation.state.", i.Desired)}, {"measured", when(i.MeasuredAt)}, {"age", c.age(i.AgeSeconds)},
	}
	add := func(name, text string) { rows = append(rows, [2]string{name, text}) }
	if i.Desired == "isolated" || i.Observed == "isolated" || i.Observed == "failed" {
		if i.Mode != "" {
			add("mode", c.word("isolation.mode.", i.Mode))
		}
		add("way_home", c.wayHome(i))
		add("dropped", itoa(i.DroppedPackets))
		for _, t := range i.Trials {
			said := console.TrialLabel(c.words, t.Name) + ": " + c.word("trial.result.", t.Result) + " (" + c.age(t.AgeSeconds) + ")"
			if t.Reason != "" {
				said += " " + c.word("trial.reason.", t.Reason)
			}
			add("trial", strings.TrimSpace(said+" "+t.Target))
		}
		for _, l := range i.Limits {
			add("limit", console.LimitText(c.words, l))
		}
	}
	for _, n := range i.Notes {
		add("note", c.word("isolation.note.", n))
	}
	if i.Detail != "" {
		add("detail", i.Detail)
	}
	return rows
}
