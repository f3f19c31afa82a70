package localapi

import (
	"time"

	"hozen/collector/internal/endpoint"
)

// Isolation is the state of an endpoint's network as it was measured.
type Isolation struct {
	Desired        string    `json:"desired"`
	Observed       string    `json:"observed"`              // "unknown" when the measurement is too old, "failed" where something was seen to pass
	Why            string    `json:"why,omitempty"`         // of unknown: "never", "stale", "unclear", "revoked"
	MeasuredAt     time.Time `json:"measured_at,omitzero"`  // clock of the endpoint
	AgeSeconds     *int64    `json:"age_seconds,omitempty"` // how old the measurement was when this was answered; absent: there is none
	ReceivedAt     time.Time `json:"received_at,omitzero"`  // clock of the collector
	Mode           string    `json:"mode,omitempty"`        // "standard", "selective", "full"; absent: not said
	Drill          bool      `json:"drill,omitempty"`
	Notes          []string  `json:"notes,omitempty"` // "incapable", "leak", "shut", "no_way_home", "not_as_ordered"
	WayHome        bool      `json:"way_home"`
	DroppedPackets uint64    `json:"dropped_packets"`
	RulesDigest    string    `json:"rules_digest,omitempty"`
	Detail         string    `json:"detail,omitempty"`
	Capable        bool      `json:"capable"`
	Trials         []Trial   `json:"trials,omitempty"`
	Limits         []string  `json:"limits,omitempty"` // what the system cannot cut or cannot show, English
}

// Trial is one thing that an endpoint tried through the rules.
type Trial struct {
	Name       string `json:"name"`
	Result     string `json:"result"` // "cut", "passes", "leaks", "shut", "unknown"
	Reason     string `json:"reason,omitempty"`
	Target     string `json:"target,omitempty"`
	AgeSeconds *int64 `json:"age_seconds,omitempty"`
}

func viewIsolation(e endpoint.Endpoint, now time.Time) Isolation {
	i, is := e.Isolation, e.Shown(now)
	v := Isolation{
		Desired: string(i.Desired), Observed: string(is.State), Why: string(is.Why), MeasuredAt: i.MeasuredAt, ReceivedAt: i.ReceivedAt, Mode: i.More.Mode,
		Drill: i.More.Drill, WayHome: i.WayHome, DroppedPackets: i.DroppedPackets, RulesDigest: i.RulesDigest, Detail: i.Detail, Capable: i.Capable, Limits: i.More.Limits,
	}
	for _, n := range is.Notes {
		v.Notes = append(v.Notes, string(n))
	}
	if age, ok := is.Age(now); ok {
		v.AgeSeconds = new(int64(age / time.Second))
	}
	for _, t := range i.More.Trials {
		w, age := Trial{Name: t.Name, Target: t.Target}, time.Duration(0)
		if !t.At.IsZero() {
			age = max(0, now.Sub(e.ByUs(t.At)))
			w.AgeSeconds = new(int64(age / time.Second))
		}
		result, reason := t.Result(i.More.Mode, age)
		w.Result, w.Reason = string(result), reason
		v.Trials = append(v.Trials, w)
	}
	return v
}
