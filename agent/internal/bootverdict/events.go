package bootverdict

import (
	"fmt"
	"time"

	"hozen/internal/artifact/record"
)

// Event is one of the event log of Windows that tells how a boot ended.
type Event struct {
	Kind string // evAsked, evStopped, evUnexpected, evPower
	At   time.Time
	// Type, Process and User are of a shutdown that somebody asked for.
	Type, Process, User string
	BugCheck            uint64 // number of the blue screen; 0 without one
	Button              bool   // the power button was held
}

// The kinds of events, as package evt names them.
const (
	evAsked      = "asked"
	evStopped    = "stopped"
	evUnexpected = "unexpected"
	evPower      = "power"
)

// ofEvents is what two programs wrote: the service of the event log, which at each start finds
// whether it had been stopped in order, and the kernel. The kernel does not count beside the
// time of the shutdown, which it writes too. Events from before the agent last saw the boot
// alive are of others.
func ofEvents(events []Event, lastTrace, began time.Time, err error) []Finding {
	if err != nil {
		return []Finding{failed(sourceEventLog, witnessEventLog, err), failed(sourceKernelPower, witnessWindows, err)}
	}
	log, kernel := found(sourceEventLog, witnessEventLog), found(sourceKernelPower, witnessWindows)
	log.Says, kernel.Says = "none", "none"
	if lastTrace.IsZero() || began.IsZero() { // of which end they speak cannot be said
		log.Says, kernel.Says = "undated", "undated"
		return []Finding{log, kernel}
	}
	for _, e := range events {
		after := !e.At.Before(began.Add(-clockSlack))
		before := e.At.After(lastTrace.Add(-clockSlack)) && e.At.Before(began.Add(clockSlack))
		switch {
		case e.Kind == evUnexpected && after && log.Says != evUnexpected:
			log.Says, log.Leans, log.At, log.LastSeen = evUnexpected, leansAbrupt, e.At, time.Time{}
		case e.Kind == evStopped && before && log.Says != evUnexpected:
			log.Says, log.Leans, log.At, log.LastSeen = evStopped, leansOrderly, e.At, e.At
		case e.Kind == evAsked && before:
			log.Asked = record.BootAsked{Type: shorten(e.Type), Who: shorten(e.User + " (" + e.Process + ")"), Basis: sourceEventLog}
			if log.Says == "none" {
				log.Says, log.At = evAsked, e.At
			}
		case e.Kind == evPower && after && kernel.Leans == "":
			kernel.At = e.At
			switch {
			case e.BugCheck != 0:
				kernel.Says, kernel.Leans, kernel.Detail = "bug_check", leansCrash, fmt.Sprintf("%#x", e.BugCheck)
			case e.Button:
				kernel.Says, kernel.Leans = "power_button_held", leansPower
			default:
				kernel.Says, kernel.Leans = evUnexpected, leansAbrupt
			}
		}
	}
	return []Finding{log, kernel}
}
