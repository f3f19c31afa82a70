package act

import (
	"sync"
	"testing"
)

func TestHubWakesAndCutsOnlyTheNamedEndpoint(t *testing.T) {
	h := NewHub()
	wake, revoked, cancel := h.SubscribeEndpoint("a")
	otherWake, otherRevoked, otherCancel := h.SubscribeEndpoint("b")
	defer otherCancel()

	h.wake("a")
	h.wake("a") // melts into the first
	<-wake
	select {
	case <-wake:
		t.Error("two wakes did not melt into one")
	case <-otherWake:
		t.Error("another endpoint was woken")
	default:
	}

	h.revoke("a")
	h.revoke("a") // must not panic
	<-revoked
	select {
	case <-otherRevoked:
		t.Error("another endpoint was cut")
	default:
	}

	if !h.Online("a") {
		t.Error("an endpoint with a stream is not online")
	}
	cancel()
	cancel()
	if h.Online("a") {
		t.Error("online without a stream")
	}
}

func TestHubOldStreamEndingKeepsTheNewOnline(t *testing.T) {
	h := NewHub()
	_, _, cancelOld := h.SubscribeEndpoint("a")
	_, _, cancelNew := h.SubscribeEndpoint("a")
	cancelOld()
	if !h.Online("a") {
		t.Error("the end of a replaced stream took the endpoint offline")
	}
	cancelNew()
	if h.Online("a") {
		t.Error("online without a stream")
	}
}

func TestHubTellsOneOrganisationAndDropsTheOldest(t *testing.T) {
	h := NewHub()
	events, cancel := h.Subscribe("org1")
	other, cancelOther := h.Subscribe("org2")
	defer cancelOther()

	h.Progress("a", Progress{Kind: "process"}) // of an endpoint nobody knows yet
	for i := range eventBuffer + 10 {
		e := Event{Kind: EventCommand, EndpointID: "a"}
		if i == eventBuffer+9 {
			e.IncidentID = "inc"
		}
		h.publish("org1", e)
	}
	h.Progress("a", Progress{Kind: "netconn", Done: 1, Total: 2})
	cancel()
	cancel()

	var got []Event
	for e := range events {
		got = append(got, e)
	}
	if len(got) != eventBuffer {
		t.Fatalf("%d events, want %d", len(got), eventBuffer)
	}
	last := got[len(got)-1]
	if last.Kind != EventProgress || last.IncidentID != "inc" || last.Progress.Kind != "netconn" {
		t.Errorf("the newest event was lost or not tied to its incident: %+v", last)
	}
	select {
	case e := <-other:
		t.Errorf("another organisation heard %+v", e)
	default:
	}
}

func TestHubConcurrently(t *testing.T) {
	h := NewHub()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				_, cancel := h.Subscribe("o")
				_, _, gone := h.SubscribeEndpoint("e")
				h.publish("o", Event{Kind: EventEndpoint, EndpointID: "e"})
				h.Progress("e", Progress{})
				h.wake("e")
				h.revoke("e")
				gone()
				cancel()
			}
		})
	}
	wg.Wait()
	if h.Online("e") || len(h.listeners) != 0 {
		t.Error("something was left behind")
	}
}

// TestHubRemembersWhatRuns: a page that is opened in the middle of a long acquisition shows how
// far it is, of that command, and nothing of an endpoint that went away.
func TestHubRemembersWhatRuns(t *testing.T) {
	h := NewHub()
	h.publish("org", Event{Kind: EventCommand, EndpointID: "a"})
	_, _, gone := h.SubscribeEndpoint("a")
	running := func(command string) (Progress, bool) { return h.Running("a", command) }
	h.Progress("a", Progress{CommandID: "cmd", Kind: "memory", Bytes: 7, Expected: 9, Rate: 3})
	if p, ok := running("cmd"); !ok || p.Bytes != 7 {
		t.Errorf("%+v, %t", p, ok)
	}
	if _, ok := running("another"); ok {
		t.Error("it is told of another command")
	}
	h.Progress("a", Progress{CommandID: "cmd", Sealed: true})
	if _, ok := running("cmd"); ok {
		t.Error("what is sealed runs")
	}
	h.Progress("a", Progress{CommandID: "cmd", Kind: "memory"})
	gone()
	if _, ok := running("cmd"); ok {
		t.Error("it runs at an endpoint that went away")
	}
	h.Progress("a", Progress{CommandID: "cmd", Kind: "memory"}) // said too late
	if _, ok := running("cmd"); ok {
		t.Error("it runs at an endpoint that went away")
	}
}
