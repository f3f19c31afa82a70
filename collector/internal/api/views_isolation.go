package api

import (
	"time"

	"hozen/collector/internal/endpoint"
)

// Isolation is the state of an endpoint's network as it was measured.
type Isolation struct {
	Desired    endpoint.State  `json:"desired" doc:"what was ordered last"`
	Observed   endpoint.State  `json:"observed" doc:"what the kernel was found to enforce, and failed where something was seen to pass all the same; unknown when the measurement is old or missing"`
	Why        endpoint.Why    `json:"why,omitempty" doc:"why it is unknown"`
	MeasuredAt time.Time       `json:"measured_at,omitzero" doc:"by the clock of the collector, as far as that of the endpoint is known; absent: never"`
	AgeSeconds *int64          `json:"age_seconds,omitempty" doc:"how old the measurement is now; absent: there is none. From 90 on the state is unknown"`
	ReceivedAt time.Time       `json:"received_at,omitzero"`
	Mode       string          `json:"mode,omitempty" doc:"standard: the collector alone is open; selective: and what permits name; full: nobody; absent: not said"`
	Drill      bool            `json:"drill,omitempty" doc:"an exercise, which opens by itself"`
	Until      time.Time       `json:"until,omitzero" doc:"it ends by itself then; absent: never"`
	WayHome    bool            `json:"way_home" doc:"the endpoint reaches the collector although it is isolated"`
	Capable    bool            `json:"capable" doc:"its system can isolate at all"`
	Notes      []endpoint.Note `json:"notes" doc:"what else to know"`
	Trials     []Trial         `json:"trials" doc:"what was tried through the rules"`
	Limits     []string        `json:"limits" doc:"what this system cannot cut or cannot show, English"`
	Detail     string          `json:"detail,omitempty"`
}

// Trial is one thing that an endpoint tried through the rules.
type Trial struct {
	Name       string               `json:"name" doc:"a stable code, such as tcp4"`
	Result     endpoint.TrialResult `json:"result" doc:"cut, passes: as ordered; leaks: it passes and must not; shut: it does not pass and must; unknown: it shows nothing"`
	Reason     string               `json:"reason,omitempty" doc:"a stable code, such as no_control"`
	Target     string               `json:"target,omitempty"`
	At         time.Time            `json:"at,omitzero" doc:"by the clock of the collector, as far as that of the endpoint is known"`
	AgeSeconds *int64               `json:"age_seconds,omitempty"`
	Dropped    uint64               `json:"dropped,omitempty" doc:"packets that the rules counted"`
}

func viewIsolation(e endpoint.Endpoint, now time.Time) Isolation {
	i, is := e.Isolation, e.Shown(now)
	v := Isolation{
		Desired: i.Desired, Observed: is.State, Why: is.Why, MeasuredAt: is.MeasuredAt, ReceivedAt: i.ReceivedAt, Mode: i.More.Mode, Drill: i.More.Drill,
		Until: e.ByUs(i.More.Until), WayHome: i.WayHome, Capable: i.Capable, Notes: append([]endpoint.Note{}, is.Notes...), Trials: []Trial{},
		Limits: append([]string{}, i.More.Limits...), Detail: i.Detail,
	}
	if v.Desired == "" {
		v.Desired = endpoint.Unknown
	}
	if age, ok := is.Age(now); ok {
		v.AgeSeconds = seconds(age)
	}
	for _, t := range i.More.Trials {
		at, age := e.ByUs(t.At), time.Duration(0)
		w := Trial{Name: t.Name, Target: t.Target, At: at, Dropped: t.Dropped}
		if !at.IsZero() {
			age = max(0, now.Sub(at))
			w.AgeSeconds = seconds(age)
		}
		w.Result, w.Reason = t.Result(i.More.Mode, age)
		v.Trials = append(v.Trials, w)
	}
	return v
}

// seconds is a span in whole seconds.
func seconds(d time.Duration) *int64 { return new(int64(d / time.Second)) }
