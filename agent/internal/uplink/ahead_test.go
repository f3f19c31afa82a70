package uplink_test

import (
	"strings"
	"testing"
	"time"

	"hozen/internal/pki"
)

// A PC whose clock goes to where the collector's certificate is over, as when it is set a
// year ahead, reaches the collector all the same if it met it since it started: what the
// collector said of the time counts. One that never met it takes no such certificate.
func TestClockThatIsAYearAhead(t *testing.T) {
	c := newCollector(t)
	c.server.Stop()
	issued := time.Now().Add(-pki.CollectorLife - 24*time.Hour) // all that the PC's clock is ahead
	var err error
	if c.cert, _, err = c.ca.IssueCollector(nil, nil, c.key.Public(), issued); err != nil {
		t.Fatal(err)
	}
	c.listen(t, "127.0.0.1:0")
	stranger := newPC(t, c, time.Now()).start(t, nil)
	await(t, "refusal", func() bool { return strings.Contains(stranger.Status().Problem, "expired") })
	if err := stranger.WayHome(t.Context()); err == nil || stranger.Status().Connected {
		t.Error("a certificate that is over is taken")
	}
	p := newPC(t, c, time.Now())
	if err := p.identity.Saw(issued.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	p.start(t, nil)
	await(t, "connection", func() bool { return p.Status().Connected })
	// The collector's own word ends it: its time is after the certificate's.
	q := newPC(t, c, time.Now())
	if err := q.identity.Saw(issued.Add(pki.CollectorLife + time.Hour)); err != nil {
		t.Fatal(err)
	}
	q.start(t, nil)
	await(t, "refusal", func() bool { return strings.Contains(q.Status().Problem, "expired") })
	// Nor does a later word that it is earlier bring the certificate back.
	for _, at := range []time.Duration{pki.CollectorLife + time.Hour, time.Hour} {
		if err := q.identity.Saw(issued.Add(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.WayHome(t.Context()); err == nil || q.Status().Connected {
		t.Error("a certificate that was over by the collector's own word is taken again")
	}
}
