package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/console/records"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/finding"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type findingListView struct {
	Frame  evidenceFrame
	Groups []findingGroup
	Idle   []finding.Words
	Asked  int
	// What was looked at: nil where it was not acquired.
	Sockets *evidence.Item
	Cross   *evidence.Item
	Tools   *evidence.Item
	// What it was compared with: nil where there is nothing.
	Before, Usual *evidence.Acquisition
}

type findingGroup struct {
	finding.Words
	ID     string
	Weight int
	Rows   []findingRow
	More   int
}

// findingRow is one finding. Item is the evidence that it stands in.
type findingRow struct {
	Item       evidence.Item
	Process    *processRow
	Socket     *socketRow
	Difference *finding.Difference
	Tool       *record.SecurityTool
	Past       bool
}

// base is an acquisition to compare with, as far as it was read.
type base struct {
	acq       evidence.Acquisition
	processes evidence.Item
	scene     finding.Scene
}

// findingList shows what in an acquisition deserves a look (気になる点). The address is that
// of its processes.
func (s *server) findingList(v *visit) error {
	f, err := s.readEvidence(v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if f.Item.Kind != artifact.KindProcess {
		return act.ErrNotFound
	}
	view := findingListView{Frame: f}
	scene := finding.Scene{Processes: f.File.Processes}
	if item, file, err := s.sibling(v, f, artifact.KindNetConn); err != nil {
		return err
	} else if item != nil {
		view.Sockets, scene.Sockets = item, file.Sockets
	}
	if item, file, err := s.sibling(v, f, artifact.KindCrossView); err != nil {
		return err
	} else if item != nil {
		view.Cross, scene.Differences = item, differences(file)
	}
	if item, file, err := s.sibling(v, f, artifact.KindSecurity); err != nil {
		return err
	} else if item != nil {
		view.Tools, scene.Tools = item, securityTools(file)
	}
	if scene.At, err = s.startOf(v, f.Item); err != nil {
		return err
	}
	before, usual, err := s.findingBases(v, f)
	if err != nil {
		return err
	}
	past := evidence.Item{}
	if before != nil {
		view.Before, scene.Before, past = &before.acq, &before.scene, before.processes
	}
	if usual != nil {
		view.Usual, scene.Usual = &usual.acq, &usual.scene
	}
	report := finding.Look(s.rules, scene)
	view.Asked = report.Asked
	for _, r := range report.Idle {
		view.Idle = append(view.Idle, r.Words(v.text.Language()))
	}
	for _, g := range report.Groups {
		group := findingGroup{Words: g.Rule.Words(v.text.Language()), ID: g.Rule.ID, Weight: g.Rule.Weight, More: g.More}
		for _, one := range g.Findings {
			row := findingRow{Item: f.Item, Difference: one.Difference, Tool: one.Tool, Past: one.Past}
			switch {
			case one.Process != nil:
				row.Process = &processRow{one.Process}
				if one.Past {
					row.Item = past
				}
			case one.Socket != nil:
				row.Socket, row.Item = &socketRow{one.Socket}, *view.Sockets
			case one.Difference != nil:
				row.Item = *view.Cross
			case one.Tool != nil:
				row.Item = *view.Tools
			}
			group.Rows = append(group.Rows, row)
		}
		view.Groups = append(view.Groups, group)
	}
	return s.showEvidence(v, "finding_list", f, view)
}

// differences reads what [record.CrossFinding] wrote, from lines that a hostile PC may have
// written differently. It returns no nil: that nothing differs was looked at.
func differences(f *records.File) []finding.Difference {
	list := []finding.Difference{}
	for _, line := range f.Lines {
		var d finding.Difference
		for _, field := range line {
			switch field.Name {
			case "finding":
				d.Finding = field.Value
			case "comm", "name", "mount_point":
				if d.Name == "" {
					d.Name = field.Value
				}
			case "pid":
				d.PID, _ = strconv.Atoi(field.Value)
			}
		}
		if d.Finding != "" {
			list = append(list, d)
		}
	}
	return list
}

// securityTools reads what [record.SecurityTool] wrote, as [differences] does. Where a line is
// missing nobody can say that a tool is not there, so there are none then.
func securityTools(f *records.File) (list []record.SecurityTool) {
	if f.Bad > 0 || f.Cut {
		return nil
	}
	for _, line := range f.Lines {
		var t record.SecurityTool
		for _, field := range line {
			switch field.Name {
			case "name":
				t.Name = field.Value
			case "category":
				t.Category = field.Value
			case "state":
				t.State = field.Value
			case "mode":
				t.Mode = field.Value
			case "units":
				_ = json.Unmarshal([]byte(field.Value), &t.Units) // what is no list tells nothing
			case "paths":
				_ = json.Unmarshal([]byte(field.Value), &t.Paths)
			}
		}
		list = append(list, t)
	}
	return list
}

// startOf is when the acquisition of an item began by the clock of its endpoint; zero: not known.
func (s *server) startOf(v *visit, item evidence.Item) (time.Time, error) {
	all, err := s.endpoints.EndpointAcquisitions(v.ctx(), v.actor, item.EndpointID)
	if err != nil && !errors.Is(err, act.ErrNotFound) {
		return time.Time{}, fmt.Errorf("look for the acquisition: %w", err)
	}
	for _, a := range all {
		if a.ID == item.AcquisitionID {
			return a.StartedAt, nil
		}
	}
	return time.Time{}, nil
}

// findingBases finds what to compare with: the acquisition before this one in the same
// incident, and the newest from before the incident. Reading them is a viewing like any other.
func (s *server) findingBases(v *visit, f evidenceFrame) (before, usual *base, err error) {
	if f.Item.IncidentID == "" {
		return nil, nil, nil
	}
	inc, err := s.incidents.Incident(v.ctx(), v.actor, f.Item.IncidentID)
	if err != nil {
		return nil, nil, err
	}
	since := inc.OpenedAt
	if !inc.DiscoveredAt.IsZero() && inc.DiscoveredAt.Before(since) {
		since = inc.DiscoveredAt
	}
	all, err := s.endpoints.EndpointAcquisitions(v.ctx(), v.actor, f.Item.EndpointID) // newest first
	if errors.Is(err, act.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("look for earlier acquisitions: %w", err)
	}
	// By the order of arrival; the PC's clock may be anything.
	later := true
	for _, a := range all {
		if a.ID == f.Item.AcquisitionID {
			later = false
			continue
		}
		same := a.IncidentID == f.Item.IncidentID
		if later || !a.DisposedAt.IsZero() || same && before != nil || !same && (usual != nil || !a.ReceivedAt.Before(since)) {
			continue
		}
		b, err := s.findingBase(v, a)
		if err != nil {
			return nil, nil, err
		}
		if b == nil {
			continue
		}
		if same {
			before = b
		} else {
			usual = b
		}
		if before != nil && usual != nil {
			break
		}
	}
	return before, usual, nil
}

// findingBase reads an earlier acquisition; nil when it holds no processes.
func (s *server) findingBase(v *visit, a evidence.Acquisition) (*base, error) {
	items, err := s.evidence.AcquisitionItems(v.ctx(), v.actor, a.ID)
	if err != nil {
		return nil, err
	}
	b := &base{acq: a}
	for _, item := range items {
		if item.Kind != artifact.KindProcess && item.Kind != artifact.KindNetConn {
			continue
		}
		file, err := s.readRecords(v, item)
		if err != nil {
			return nil, err
		}
		if item.Kind == artifact.KindProcess {
			b.processes, b.scene.Processes = item, file.Processes
		} else {
			b.scene.Sockets = file.Sockets
		}
	}
	if b.processes.ID == "" {
		return nil, nil
	}
	return b, nil
}

// Total is how many things the rule applies to.
func (g findingGroup) Total() int { return len(g.Rows) + g.More }

// Holder is the process that holds the socket first, for a link; nil when it is not known.
func (r findingRow) Holder() *record.Owner {
	if r.Socket == nil || len(r.Socket.Owners) == 0 {
		return nil
	}
	return &r.Socket.Owners[0]
}

// ToolState is the key of the state of the row's tool; what an endpoint made up is unknown.
func (r findingRow) ToolState() string {
	if slices.Contains([]string{record.SecurityRunning, record.SecurityInstalled, record.SecurityDisabled, record.SecurityAbsent}, r.Tool.State) {
		return r.Tool.State
	}
	return record.SecurityUnknown
}

// Told is what else the evidence tells of the row's tool, in the words of its system: settings,
// services, and what it does not look at. Where its files lie says nothing here.
func (r findingRow) Told() []string {
	var list []string
	if r.Tool.Mode != "" {
		list = append(list, r.Tool.Mode)
	}
	list = append(list, r.Tool.Units...)
	for _, p := range r.Tool.Paths {
		if !strings.HasPrefix(p, "/") {
			list = append(list, p)
		}
	}
	return list
}
