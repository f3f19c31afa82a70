package console

import (
	"fmt"
	"testing"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/evidence"
	"hozen/internal/profile"
)

// Evidence that could not be taken is never passed over, and waits for nobody for ever.
func TestTheStripTellsOfEvidenceThatFailed(t *testing.T) {
	order := func(verb dispatch.Verb, status dispatch.Status, acquisition string) dispatch.Command {
		return dispatch.Command{ID: "cmd_2", EndpointID: "end_2", Verb: verb, Status: status, AcquisitionID: acquisition}
	}
	for name, c := range map[string]struct {
		order dispatch.Command
		want  string // received, coming, lost of all, tone
	}{
		"none":                      {order(dispatch.Release, dispatch.Failed, ""), "1 0 0 of 1 ok"},
		"waits":                     {order(dispatch.Acquire, dispatch.Queued, ""), "1 1 0 of 2 warn"},
		"taken, not here":           {order(dispatch.Acquire, dispatch.Done, "acq_2"), "1 1 0 of 2 warn"},
		"taken and here":            {order(dispatch.Acquire, dispatch.Done, "acq_1"), "1 0 0 of 1 ok"},
		"failed":                    {order(dispatch.Acquire, dispatch.Failed, ""), "1 0 1 of 2 warn"},
		"failed, with a number":     {order(dispatch.Preserve, dispatch.Failed, "acq_2"), "1 0 1 of 2 warn"},
		"failed, a part is here":    {order(dispatch.Preserve, dispatch.Failed, "acq_1"), "1 0 0 of 1 ok"},
		"expired":                   {order(dispatch.Preserve, dispatch.Expired, ""), "1 0 1 of 2 warn"},
		"refused":                   {order(dispatch.Acquire, dispatch.Refused, ""), "1 0 1 of 2 warn"},
		"unsupported":               {order(dispatch.Acquire, dispatch.Unsupported, ""), "1 0 1 of 2 warn"},
		"taken back":                {order(dispatch.Acquire, dispatch.Withdrawn, ""), "1 0 0 of 1 ok"},
		"sealed, did not go down":   {order(dispatch.Preserve, dispatch.NotDown, "acq_2"), "1 1 0 of 2 warn"},
		"isolation failed, nothing": {order(dispatch.Isolate, dispatch.Failed, ""), "1 0 0 of 1 ok"},
	} {
		st := viewStatus(nil, nil, []dispatch.Command{c.order}, []evidence.Acquisition{{ID: "acq_1", CommandID: "cmd_1"}})
		if got := fmt.Sprint(st.Received, " ", st.Coming, " ", st.Lost, " of ", st.All(), " ", st.Kept()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// An order that failed is no trouble any more when the same was ordered again and its evidence came.
func TestTheStripForgetsWhatWasRepeated(t *testing.T) {
	at := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	failed := dispatch.Command{ID: "cmd_2", EndpointID: "end_1", Verb: dispatch.Acquire, Profile: profile.Flash, Status: dispatch.Failed, IssuedAt: at}
	good := func(change func(*dispatch.Command)) dispatch.Command {
		c := dispatch.Command{ID: "cmd_1", EndpointID: "end_1", Verb: dispatch.Acquire, Profile: profile.Flash, Status: dispatch.Done, AcquisitionID: "acq_1", IssuedAt: at.Add(time.Minute)}
		change(&c)
		return c
	}
	for _, p := range []string{profile.Volatile, profile.Memory, profile.ProcessName(4711, 0)} { // more than a Preserve takes
		more, then := failed, good(func(c *dispatch.Command) { c.Verb, c.Profile = dispatch.Preserve, "" })
		more.Profile = p
		if st := viewStatus(nil, nil, []dispatch.Command{more, then}, []evidence.Acquisition{{ID: "acq_1", CommandID: "cmd_1"}}); st.Lost != 1 {
			t.Errorf("a Preserve stands for %s: %+v", p, st)
		}
	}
	for name, c := range map[string]struct {
		then dispatch.Command
		want string
	}{
		"repeated":           {good(func(*dispatch.Command) {}), "1 0 ok"},
		"preserved instead":  {good(func(c *dispatch.Command) { c.Verb, c.Profile = dispatch.Preserve, "" }), "1 0 ok"},
		"isolated instead":   {good(func(c *dispatch.Command) { c.Verb, c.Profile = dispatch.Isolate, "" }), "1 1 warn"},
		"on another PC":      {good(func(c *dispatch.Command) { c.EndpointID = "end_2" }), "1 1 warn"},
		"of another profile": {good(func(c *dispatch.Command) { c.Profile = "memory" }), "1 1 warn"},
		"before it":          {good(func(c *dispatch.Command) { c.IssuedAt = at.Add(-time.Minute) }), "1 1 warn"},
		"not here":           {good(func(c *dispatch.Command) { c.ID, c.AcquisitionID = "cmd_3", "acq_3" }), "1 1 warn"},
	} {
		st := viewStatus(nil, nil, []dispatch.Command{failed, c.then}, []evidence.Acquisition{{ID: "acq_1", CommandID: "cmd_1"}})
		if got := fmt.Sprint(st.Received, " ", st.Lost, " ", st.Kept()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
