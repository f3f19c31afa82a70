package console

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/internal/i18n"
)

// Limits and measures of the picture of a timeline. Its length says nothing of how much an
// endpoint sent: what falls into one column is one bar.
const (
	pictureColumns   = 60
	pictureEndpoints = 6
	columnWidth      = 20 // units
	laneHeight       = 32 // units
	// farClock is how far before its entry an endpoint's time may lie to stand on the axis.
	farClock = 7 * 24 * time.Hour
)

// timelinePicture is an incident on one axis of time.
type timelinePicture struct {
	From, To  time.Time
	Lanes     []pictureLane
	Ticks     []string
	Marks     int // entries on the axis
	Older     int // entries that were too many to be read
	Elsewhere int // endpoints that have no lane
	Zoomed    bool
}

// Empty reports whether there is nothing to draw.
func (p timelinePicture) Empty() bool { return p.Marks == 0 }

// pictureLane is one row of the picture.
type pictureLane struct {
	Key      string        // people, evidence, or the identifier of an endpoint
	Endpoint *endpointView // nil for the first two
	Bars     []pictureBar
	Count    int
	Off      int // entries whose time by the endpoint's clock is not on the axis
	Shift    int // units by which its clock is ahead of the collector's; negative behind
}

// pictureBar is what one lane has in one column.
type pictureBar struct {
	X, Y, Width, Height int
	Tone                string
	Count               int
	First, Last         time.Time
	Said                string // the entry that matters most, for [said]
	Zoom                string // query of the picture of this column alone; empty: no closer
}

// Agent reports whether the times of the lane are those of an endpoint's clock.
func (l pictureLane) Agent() bool { return l.Endpoint != nil }

// ShiftX, ShiftTo and ShiftWidth place the measure of the clock at the end of the lane.
func (l pictureLane) ShiftX() int { return columnWidth / 2 }

// ShiftWidth is its length.
func (l pictureLane) ShiftWidth() int {
	return min(max(l.Shift, -l.Shift, 4), columnWidth*pictureColumns-columnWidth)
}

// happening is one entry with its place on the axis.
type happening struct {
	at   time.Time
	lane string
	tone string
	said func() string
}

// drawTimeline places the entries. Machines' entries stand where the endpoint's own clock
// had them, uncorrected; people's, and what the collector received, by its own. Zero bounds
// mean all of it.
func drawTimeline(p i18n.Printer, entries []incident.Entry, own []endpointView, boots map[string][]endpoint.Boot, names map[string]string, from, to time.Time) timelinePicture {
	pic := timelinePicture{}
	lanes := map[string]*pictureLane{}
	order := []*pictureLane{{Key: "people"}, {Key: "evidence"}}
	for i := range own {
		order = append(order, &pictureLane{Key: own[i].ID, Endpoint: &own[i]})
	}
	for _, l := range order {
		lanes[l.Key] = l
	}
	var all []happening
	told := map[string]bool{} // ends of boots that have an entry
	for _, e := range entries {
		if e.Kind == incident.EntryOlder {
			pic.Older, _ = strconv.Atoi(e.Params["number"])
			continue
		}
		h := happening{at: e.At, lane: laneOf(e), said: func() string { return markedSentence(p, e, names) }}
		h.tone, _ = tone(e)
		if l := lanes[h.lane]; l == nil {
			h.lane = "people" // of an endpoint without a lane
		} else if l.Agent() && !e.AgentAt.IsZero() {
			h.at = e.AgentAt
			if e.Kind == incident.EntryBoot {
				told[h.lane+e.AgentAt.String()] = true
			}
			if d := e.At.Sub(e.AgentAt); d > farClock || d < -24*time.Hour {
				l.Off++
				continue
			}
		}
		all = append(all, h)
	}
	if len(all) == 0 {
		return pic
	}
	byTime := func(a, b happening) int { return a.at.Compare(b.at) }
	first := slices.MinFunc(all, byTime).at
	for _, e := range own {
		for _, b := range boots[e.ID] {
			if at := b.EndedBefore; b.Judged() && !told[e.ID+at.String()] && at.After(first.Add(-24*time.Hour)) && at.Before(first) {
				view := viewBoots(p, []endpoint.Boot{b})[0]
				all = append(all, happening{at: at, lane: e.ID, tone: bootPictureTone(view.Tone), said: func() string {
					return p.Text("picture.boot", "verdict", optional(p, "boot.verdict.", view.Word))
				}})
			}
		}
	}
	slices.SortStableFunc(all, byTime)
	pic.From, pic.To = all[0].at, all[len(all)-1].at
	if !from.IsZero() && to.After(from) && to.Sub(from) >= time.Minute && from.Before(pic.To) && to.After(pic.From) {
		pic.From, pic.To, pic.Zoomed = from, to, true
	}
	if least := pic.From.Add(time.Minute); pic.To.Before(least) {
		pic.To = least
	}
	column := pic.To.Sub(pic.From)/pictureColumns + 1
	for _, h := range all {
		if h.at.Before(pic.From) || h.at.After(pic.To) {
			continue
		}
		pic.Marks++
		lanes[h.lane].add(h, pic.From, column)
	}
	for _, l := range order {
		if l.Agent() {
			l.Shift = int(int64(l.Endpoint.ClockOffset) / max(int64(column)/columnWidth, 1))
		}
		pic.Lanes = append(pic.Lanes, *l)
	}
	for n := range 5 {
		pic.Ticks = append(pic.Ticks, tick(pic.From.Add(pic.To.Sub(pic.From)*time.Duration(n)/4), pic.To.Sub(pic.From)))
	}
	return pic
}

// add puts h into its column; they come in the order of time.
func (l *pictureLane) add(h happening, from time.Time, column time.Duration) {
	l.Count++
	x := int(h.at.Sub(from)/column) * columnWidth
	if n := len(l.Bars); n == 0 || l.Bars[n-1].X != x+2 {
		begin := from.Add(column * time.Duration(x/columnWidth))
		b := pictureBar{X: x + 2, Width: columnWidth - 4, Tone: h.tone, First: h.at, Said: h.said()}
		if column > time.Second {
			b.Zoom = "?from=" + begin.UTC().Format("2006-01-02T15:04:05Z") + "&to=" + begin.Add(max(column, time.Minute)+time.Second).UTC().Format("2006-01-02T15:04:05Z")
		}
		l.Bars = append(l.Bars, b)
	}
	b := &l.Bars[len(l.Bars)-1]
	b.Count++
	b.Last = h.at
	if b.Count > 1 && weightOf(h.tone) > weightOf(b.Tone) {
		b.Tone, b.Said = h.tone, h.said()
	}
	b.Height = min(8+5*bits.Len(uint(b.Count)), laneHeight-2)
	b.Y = laneHeight - b.Height
}

// laneOf says where an entry stands: what machines said stands in their endpoint's lane.
func laneOf(e incident.Entry) string {
	switch e.Kind {
	case incident.EntryEvidence, incident.EntryUpload, incident.EntryExport, incident.EntryCustody, incident.EntryRefused:
		return "evidence"
	case incident.EntryAlert, incident.EntryResult, incident.EntryIsolation, incident.EntryIsolationEvent, incident.EntrySevered, incident.EntryBoot, incident.EntryLedgerDiffers:
		if id := e.Params["endpoint"]; id != "" {
			return id
		}
	}
	return "people"
}

// weightOf orders the tones: of what shares a bar the gravest is told.
func weightOf(tone string) int {
	return slices.Index([]string{"plain", "person", "good", "order", "alert", "bad"}, tone)
}

func bootPictureTone(tone string) string {
	switch tone {
	case "good", "bad":
		return tone
	}
	return "alert"
}

// tick writes a moment of the axis as short as the axis allows.
func tick(t time.Time, span time.Duration) string {
	t = t.In(jst())
	switch {
	case span >= 3*24*time.Hour:
		return t.Format("2006-01-02")
	case span >= 10*time.Minute:
		return t.Format("01-02 15:04")
	}
	return t.Format("15:04:05")
}

// Rows are the bars of all lanes in the order of time: the same facts as the picture's.
func (p timelinePicture) Rows() []pictureRow {
	var rows []pictureRow
	for i := range p.Lanes {
		for _, b := range p.Lanes[i].Bars {
			rows = append(rows, pictureRow{b, &p.Lanes[i]})
		}
	}
	slices.SortStableFunc(rows, func(a, b pictureRow) int { return cmp.Compare(a.First.UnixNano(), b.First.UnixNano()) })
	return rows
}

// pictureRow is a bar with its lane.
type pictureRow struct {
	pictureBar
	Lane *pictureLane
}
