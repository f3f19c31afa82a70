package console

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
)

// groupView is an order to a group as the pages show it.
type groupView struct {
	group.Order
	Deed deed
	Said dispatch.Isolation
}

type groupShowView struct {
	groupView
	May      abilities
	Incident string // its number
	Steps    []step
	Counts   []count
	Members  []groupMemberView
	Hidden   int // members that are not on the page
	Drill    bool
	Told     []fact // translated: how the order differs from the usual one
}

// count is one number on top of the page.
type count struct {
	Key   string
	N, Of int
	Tone  string
}

// groupMemberView is one endpoint of a group and how far it is.
type groupMemberView struct {
	act.GroupMember
	View  endpointView
	State string // key: left_out, capturing, next, waiting, sent, working, done, failed, ended
	Score *scoreView
}

// scoreView is how a PC did in a drill. What is not recorded is not known, and never good.
type scoreView struct {
	Cut      string // time from the order to the measured cut; empty: not known
	Leaks    string // key: none, some, unknown
	WayHome  string // key: yes, no, unknown
	Released string // key: yes, no, waiting, other, unknown
}

// Tone is the class of the badge of one of its words.
func (scoreView) Tone(word string) string {
	switch word {
	case "none", "yes":
		return "ok"
	case "some", "no":
		return "bad"
	}
	return ""
}

// membersShown is how many members a page shows unless asked for all: those that need
// eyes come first.
const membersShown = 200

func viewGroup(o group.Order) groupView {
	v := groupView{Order: o, Deed: deed(o.Verb)}
	if o.Drill {
		v.Deed = drillAll
	}
	_ = json.Unmarshal([]byte(o.Isolation), &v.Said) // what the order was does not depend on it
	return v
}

// Took is how long the cut took from the order, where it is known.
func (m groupMemberView) Took() time.Duration {
	if m.Result == nil {
		return 0
	}
	return m.Result.Took
}

func (s *server) groupList(v *visit) error {
	all, err := s.groups.Groups(v.ctx(), v.actor, 100)
	if err != nil {
		return err
	}
	var views []groupView
	for _, o := range all {
		views = append(views, viewGroup(o))
	}
	may := abilitiesOf(v.operator.Role)
	var waiting []group.Asked
	if may.Order {
		if waiting, err = s.groups.GroupsWaiting(v.ctx(), v.actor); err != nil {
			return err
		}
	}
	return s.show(v, "group_list", struct {
		Groups  []groupView
		Waiting []group.Asked
		May     abilities
		Me      string
	}{views, waiting, may, v.operator.ID})
}

func (s *server) groupShow(v *visit) error {
	o, members, err := s.groups.Group(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := groupShowView{groupView: viewGroup(o), May: abilitiesOf(v.operator.Role)}
	view.Drill = view.Deed == drillAll
	if m := view.Said.Mode; m != "" && m != dispatch.Standard {
		view.Told = append(view.Told, fact{v.text.Text("isolation.mode"), optional(v.text, "isolation.mode.", string(m))})
	}
	if u := view.Said.Until; !u.IsZero() {
		view.Told = append(view.Told, fact{v.text.Text("isolation.until"), clock(u)})
	}
	if o.IncidentID != "" {
		inc, err := s.incidents.Incident(v.ctx(), v.actor, o.IncidentID)
		if err != nil {
			return err
		}
		view.Incident = inc.Number
	}
	for _, m := range members {
		mv := groupMemberView{GroupMember: m, View: viewEndpoint(m.Endpoint, v.now)}
		mv.State = memberState(o, m)
		if view.Drill && m.Command != nil {
			if mv.Score, err = s.score(v, mv); err != nil {
				return err
			}
		}
		view.Members = append(view.Members, mv)
	}
	view.Steps, view.Counts = groupSteps(o, view.Members), groupCounts(o, view.Members)
	rank := map[string]int{"failed": 0, "ended": 1, "working": 2, "sent": 3, "capturing": 4, "next": 5, "waiting": 6, "done": 7, "left_out": 8}
	slices.SortStableFunc(view.Members, func(a, b groupMemberView) int {
		worse := func(m groupMemberView) int {
			if m.State == "done" && !m.asOrdered(o) {
				return -1
			}
			return rank[m.State]
		}
		return cmp.Or(cmp.Compare(worse(a), worse(b)), cmp.Compare(a.View.Name, b.View.Name))
	})
	if len(view.Members) > membersShown && v.r.URL.Query().Get("show") != "all" {
		view.Hidden = len(view.Members) - membersShown
		view.Members = view.Members[:membersShown]
	}
	p := s.page(v, "group_show", v.text.Text("group."+string(view.Deed)+".title"))
	p.Live, p.Refresh = "incident="+o.IncidentID, 5
	return s.showStatus(v, 200, p, view)
}

// memberState says how far a member is.
func memberState(o group.Order, m act.GroupMember) string {
	switch {
	case m.LeftOut != "":
		return "left_out"
	case m.Command == nil && m.Capture != nil && !m.Capture.Status.Final():
		return "capturing"
	case m.Command == nil:
		return "next"
	}
	switch s := m.Command.Status; {
	case s == dispatch.Queued && !m.Endpoint.Online:
		return "waiting"
	case s == dispatch.Queued:
		return "sent"
	case s == dispatch.Accepted:
		return "working"
	case s == dispatch.Done:
		return "done"
	case s == dispatch.Expired, s == dispatch.Withdrawn:
		return "ended"
	}
	return "failed"
}

// asOrdered reports whether what is measured now is what the group was ordered to be. A
// drill is over soon; what counts of it is that nothing went wrong.
func (m groupMemberView) asOrdered(o group.Order) bool {
	switch {
	case m.Score != nil:
		return m.Score.Leaks != "some" && m.Score.WayHome != "no" && m.Score.Released != "no"
	case o.Verb == string(dispatch.Release):
		return m.View.Isolation.State == string(endpoint.Released)
	}
	return m.View.Isolation.State == string(endpoint.Isolated)
}

func groupSteps(o group.Order, members []groupMemberView) []step {
	captures, captured, commands, finished := 0, 0, 0, 0
	for _, m := range members {
		if m.Capture != nil {
			captures++
			if m.Capture.Status.Final() {
				captured++
			}
		}
		if m.LeftOut == "" {
			commands++
			if m.Command != nil && m.Command.Status.Final() {
				finished++
			}
		}
	}
	state := func(done, begun bool) string {
		switch {
		case done:
			return "done"
		case begun:
			return "active"
		}
		return "waiting"
	}
	cut := o.Phase == group.Ordered
	var steps []step
	if o.Verb == string(dispatch.Isolate) {
		capture := state(cut, true)
		if o.IsolateFirst || cut && captures == 0 {
			capture = "skipped"
		}
		steps = append(steps, step{"group.captured", capture})
	}
	steps = append(steps, step{"group.ordered." + o.Verb, state(cut, false)})
	return append(steps, step{"group.results", state(cut && finished == commands, cut)})
}

// groupCounts are the numbers on top of the page, made of what is measured now.
func groupCounts(o group.Order, members []groupMemberView) []count {
	total, good, working, waiting, trouble, unknown := 0, 0, 0, 0, 0, 0
	for _, m := range members {
		switch m.State {
		case "left_out":
			continue
		case "waiting":
			waiting++
		case "failed", "ended":
			trouble++
		case "done":
			switch {
			case m.asOrdered(o):
				good++
			case m.Score == nil && m.View.Isolation.State == string(endpoint.Unknown):
				unknown++
			default:
				trouble++
			}
		default:
			working++
		}
		total++
	}
	key := "isolated"
	if o.Verb == string(dispatch.Release) {
		key = "released"
	}
	if o.Drill {
		key = "drilled"
	}
	counts := []count{{Key: key, N: good, Of: total, Tone: "iso"}, {Key: "working", N: working}, {Key: "waiting", N: waiting}, {Key: "trouble", N: trouble}, {Key: "unknown", N: unknown}}
	if trouble > 0 {
		counts[3].Tone = "bad"
	}
	if unknown > 0 {
		counts[4].Tone = "unknown"
	}
	return counts
}

// score is how a PC did: what was measured when it carried out its order, and what it
// told afterwards.
func (s *server) score(v *visit, m groupMemberView) (*scoreView, error) {
	view := scoreView{Leaks: "unknown", WayHome: "unknown", Released: "unknown"}
	if !m.Command.Status.Final() {
		view.Released = "waiting"
		return &view, nil
	}
	r := m.Result
	if r == nil || m.Command.Status != dispatch.Done {
		return &view, nil
	}
	if r.Took > 0 {
		view.Cut = seconds(v.text, r.Took)
	}
	view.WayHome = "no"
	if r.WayHome {
		view.WayHome = "yes"
	}
	events, err := s.isolation.IsolationEvents(v.ctx(), v.actor, m.EndpointID, 100)
	if err != nil {
		return nil, err
	}
	// The trials of the result, those of now while the order is in force, and any told of since.
	leak := slices.ContainsFunc(r.Leaks, func(name string) bool { return !endpoint.Trial{Name: name}.MustPass("") })
	if st := m.Endpoint.Isolation; st.CommandID == m.Command.ID {
		now, _ := st.Contrary()
		leak = leak || now
	}
	leak = leak || slices.ContainsFunc(events, func(e endpoint.IsolationEvent) bool {
		return e.Kind == endpoint.EventLeak && e.CommandID == m.Command.ID
	})
	switch {
	case leak:
		view.Leaks = "some"
	case r.AsOrdered > 0:
		view.Leaks = "none"
	}
	end := m.Command.Isolation.Until
	switch {
	case m.Ended == string(endpoint.EventReleasedByTime):
		view.Released = "yes"
	case m.Ended != "":
		view.Released = "other"
	case v.now.Before(end.Add(drillPatience)):
		view.Released = "waiting"
	case m.View.Isolation.State == string(endpoint.Isolated):
		view.Released = "no"
	}
	if m.Ended == string(endpoint.EventRolledBack) {
		view.WayHome = "no"
	}
	return &view, nil
}

// drillPatience is how long after its end a drill may be told to be over.
const drillPatience = 30 * time.Second
