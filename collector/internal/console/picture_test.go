package console

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/internal/artifact/record"
	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
)

// An endpoint that sends very many entries, with times as it likes, gets a picture of the same
// size, on which nothing of its own moves people's entries.
func TestTimelinePictureIsBounded(t *testing.T) {
	p := i18ntest.Parity(t, sub("translations")).Printer(i18n.Japanese)
	at := time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)
	var entries []incident.Entry
	entries = append(entries, incident.Entry{Kind: incident.EntryOlder, At: at, Params: map[string]string{"number": "7"}},
		incident.Entry{Kind: incident.EntryNote, At: at, Text: "x"})
	for n := range 3000 {
		entries = append(entries, incident.Entry{Kind: incident.EntryIsolationEvent, At: at.Add(time.Duration(n) * time.Second), AgentAt: at.Add(time.Duration(n)*time.Second - time.Minute),
			Params: map[string]string{"endpoint": "end_a", "event": "drift"}})
	}
	entries = append(entries,
		incident.Entry{Kind: incident.EntryBoot, At: at.Add(time.Hour), AgentAt: time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), Params: map[string]string{"endpoint": "end_a"}},
		incident.Entry{Kind: incident.EntryBoot, At: at.Add(time.Hour), AgentAt: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC), Params: map[string]string{"endpoint": "end_a"}},
		incident.Entry{Kind: incident.EntryAlert, At: at.Add(time.Hour), AgentAt: at.Add(time.Hour), Params: map[string]string{"endpoint": "end_without_lane"}},
		incident.Entry{Kind: incident.EntryResult, At: at.Add(2 * time.Hour), Params: map[string]string{"endpoint": "end_a", "status": "failed"}})
	own := []endpointView{viewEndpoint(endpoint.Endpoint{ID: "end_a", Hostname: "pc", ClockOffset: -time.Minute, LastSeenAt: at}, at)}
	boots := map[string][]endpoint.Boot{"end_a": {
		{Verdict: record.BootPowerLoss, EndedBefore: at.Add(-time.Hour)},
		{Verdict: record.BootPowerLoss, EndedBefore: at.Add(-90 * 24 * time.Hour)},
	}}
	pic := drawTimeline(p, entries, own, boots, map[string]string{"end_a": "pc"}, time.Time{}, time.Time{})
	if pic.Older != 7 || len(pic.Lanes) != 3 || !pic.From.Equal(at.Add(-time.Hour)) || !pic.To.Equal(at.Add(2*time.Hour)) {
		t.Fatalf("older %d, %d lanes, from %s to %s", pic.Older, len(pic.Lanes), pic.From, pic.To)
	}
	for _, l := range pic.Lanes {
		for n, b := range l.Bars {
			if b.X < 0 || b.X+b.Width > pictureColumns*columnWidth || b.Y < 0 || b.Y+b.Height > laneHeight || n > 0 && b.X <= l.Bars[n-1].X {
				t.Errorf("%s: bar %d at %d, %d of %d x %d", l.Key, n, b.X, b.Y, b.Width, b.Height)
			}
		}
	}
	if n := len(pic.Rows()); n > 3*pictureColumns {
		t.Errorf("%d rows", n)
	}
	own1 := pic.Lanes[2]
	if own1.Off != 2 || own1.Shift >= 0 || own1.Count != 3002 { // 3000 events, a boot, a result
		t.Errorf("%d entries, %d off the axis, shift %d", own1.Count, own1.Off, own1.Shift)
	}
	if last := own1.Bars[len(own1.Bars)-1]; last.Tone != "bad" {
		t.Errorf("the failed order is %q", last.Tone)
	}
	if people := pic.Lanes[0]; people.Count != 2 {
		t.Errorf("%d entries of people", people.Count)
	}
	closer := drawTimeline(p, entries, own, boots, nil, at, at.Add(5*time.Minute))
	if !closer.Zoomed || closer.Marks >= pic.Marks || !closer.To.Equal(at.Add(5*time.Minute)) {
		t.Errorf("closer: %t, %d of %d", closer.Zoomed, closer.Marks, pic.Marks)
	}
	if none := drawTimeline(p, nil, own, nil, nil, at, at); !none.Empty() {
		t.Error("nothing was drawn as something")
	}
}

// What one endpoint claims of its connections makes no picture larger than a page can bear.
func TestConnectionMapIsBounded(t *testing.T) {
	var sockets []record.Socket
	add := func(addr, comm string, pid int) {
		s := record.Socket{Family: "inet", Proto: "tcp", State: "ESTABLISHED", RemoteAddr: addr, RemotePort: uint16(len(sockets)%7 + 440)}
		if pid > 0 {
			s.Owners = []record.Owner{{PID: pid, StartTicks: 9, Comm: comm}}
		}
		sockets = append(sockets, s)
	}
	for n := range 5000 {
		add(fmt.Sprintf("203.0.%d.%d", n/250, n%250), fmt.Sprintf("p%d", n%20), 100+n%300)
	}
	for range 9 {
		add("::ffff:192.168.0.7", "mount.nfs", 7)
		add("192.168.0.7", "<script>alert(1)</script>\u202e", 8)
	}
	add("not an address", "", 0)
	sockets = append(sockets, record.Socket{Family: "inet", Proto: "tcp", State: "LISTEN"}, record.Socket{Family: "inet", Proto: "tcp", State: "ESTABLISHED", RemoteAddr: "127.0.0.1"})
	m := drawConnections(sockets)
	if m.Total != 5019 || m.All != 5002 || m.Outside != 5000 {
		t.Errorf("%d connections, %d peers, %d outside", m.Total, m.All, m.Outside)
	}
	if len(m.Peers) != mapPeers || len(m.Processes) != mapProcesses || len(m.Rows) != mapTable || m.MorePeers != 5002-mapPeers || m.MoreHolder == 0 || m.MoreRows != 5002-mapTable || len(m.Edges) > mapPeers*mapProcesses {
		t.Errorf("%d peers, %d processes, %d rows, %d edges", len(m.Peers), len(m.Processes), len(m.Rows), len(m.Edges))
	}
	for _, n := range append(m.Peers, m.Processes...) {
		if n.Y+24 > m.Height {
			t.Errorf("%+v below %d", n, m.Height)
		}
	}
	few := drawConnections(sockets[5000:])
	if len(few.Peers) != 2 || few.Peers[0].Count != 18 || few.Peers[0].Outside || few.Rows[0].Addr != "192.168.0.7" || len(few.Rows[0].Holders) != 2 || len(few.Edges) != 3 {
		t.Errorf("%+v", few)
	}
	if last := few.Processes[2]; !last.Unknown {
		t.Errorf("nobody is %+v", last)
	}
	for _, n := range few.Processes {
		if len([]rune(n.Label)) > leftChars+1 || strings.ContainsRune(n.Label, '\u202e') {
			t.Errorf("label %q", n.Label)
		}
	}
	if got := short("日本語の長い名前のプロセス", 8); got != "日本語の…" {
		t.Errorf("%q", got)
	}
}

// The pictures say in words what they show, and nothing in them runs.
func TestPicturesOnPages(t *testing.T) {
	x := newOffice(t, 60)
	b := x.as("owner", "ja")
	r := b.get("/incidents/"+x.incidentID+"/timeline").want(t, 200, `<svg class="lane"`, "図と同じ内容の表", "端末の時計")
	inertPage(t, "timeline", r)
	b.get("/incidents/"+x.incidentID+"/timeline?page=99").want(t, 200)
	b.get("/incidents/"+x.incidentID+"/timeline?page=-1&from=zzz&to=9999-99-99").want(t, 200, `<svg class="lane"`)
	r = b.get("/evidence/"+x.sockets+"/map").want(t, 200, `<svg class="map"`, "<desc", "図と同じ内容の表")
	inertPage(t, "map", r)
	b.get("/evidence/"+x.processes+"/map").want(t, 404)
	if r := b.get("/endpoints/" + x.keiri.ID + "/connections"); r.code != 303 || r.header.Get("Location") != "/evidence/"+x.sockets+"/map" {
		t.Errorf("%d to %q", r.code, r.header.Get("Location"))
	}
	if r := b.get("/endpoints/" + x.odd.ID + "/connections"); r.code != 303 || r.header.Get("Location") != "/endpoints/"+x.odd.ID {
		t.Errorf("%d to %q", r.code, r.header.Get("Location"))
	}
	b.get("/incidents/"+x.incidentID+"/custody/E01").want(t, 200, `<ol class="chain"`, "証拠の管理の連鎖")
	// Whoever may not open evidence sees no connections either.
	x.as("view", "ja").get("/evidence/"+x.sockets+"/map").want(t, 403)
	x.as("view", "ja").get("/incidents/"+x.incidentID+"/timeline").want(t, 200)
}
