package console

import (
	"slices"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type processShowView struct {
	Frame       evidenceFrame
	Process     processRow
	Ancestors   []processRow // the first process first
	Children    []processRow
	Sockets     []socketRow
	SocketItem  *evidence.Item // nil: connections are not part of this acquisition
	Files       *record.OpenFiles
	FilesItem   *evidence.Item
	FilesCut    int
	Hash        *record.ExeHash
	MoreSockets int
}

// shownInside is how many rows of another table a process page shows.
const shownInside = 200

func (s *server) processShow(v *visit) error {
	f, err := s.readEvidence(v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	key := v.r.PathValue("process")
	all := f.File.Processes
	at := slices.IndexFunc(all, func(p record.Process) bool { return processKey(p.PID, p.StartTicks) == key })
	if f.Item.Kind != artifact.KindProcess || at < 0 {
		return act.ErrNotFound
	}
	view := processShowView{Frame: f, Process: processRow{&all[at]}}
	view.family(all)
	if err := s.connections(v, &view); err != nil {
		return err
	}
	if err := s.openFiles(v, &view); err != nil {
		return err
	}
	return s.showEvidence(v, "process_show", f, view)
}

// family finds the ancestors and the children. A chain ends where a parent is absent,
// is younger than its child (the PID was used again), or comes back to itself.
func (view *processShowView) family(all []record.Process) {
	byPID := make(map[int]*record.Process, len(all))
	for i := range all {
		byPID[all[i].PID] = &all[i]
	}
	me := view.Process.Process
	seen := map[int]bool{me.PID: true}
	for p := me; len(view.Ancestors) < maxIndent; {
		parent := byPID[p.PPID]
		if parent == nil || seen[parent.PID] || parent.StartTicks > p.StartTicks {
			break
		}
		seen[parent.PID] = true
		view.Ancestors = append(view.Ancestors, processRow{parent})
		p = parent
	}
	slices.Reverse(view.Ancestors)
	for i := range all {
		p := &all[i]
		if p.PPID == me.PID && p != me && p.StartTicks >= me.StartTicks && len(view.Children) < shownInside {
			view.Children = append(view.Children, processRow{p})
		}
	}
}

func (s *server) connections(v *visit, view *processShowView) error {
	item, file, err := s.sibling(v, view.Frame, artifact.KindNetConn)
	if err != nil || item == nil {
		return err
	}
	view.SocketItem = item
	for i := range file.Sockets {
		row := socketRow{&file.Sockets[i]}
		if !row.ownedBy(view.Process.PID, view.Process.StartTicks) {
			continue
		}
		if len(view.Sockets) == shownInside {
			view.MoreSockets++
			continue
		}
		view.Sockets = append(view.Sockets, row)
	}
	return nil
}

func (s *server) openFiles(v *visit, view *processShowView) error {
	item, file, err := s.sibling(v, view.Frame, artifact.KindOpenFile)
	if err != nil {
		return err
	}
	if item != nil {
		view.FilesItem = item
		for i := range file.OpenFiles {
			o := file.OpenFiles[i]
			if o.PID == view.Process.PID && o.StartTicks == view.Process.StartTicks {
				if len(o.FDs) > shownInside {
					view.FilesCut = len(o.FDs) - shownInside
					o.FDs = o.FDs[:shownInside]
				}
				view.Files = &o
			}
		}
	}
	item, file, err = s.sibling(v, view.Frame, artifact.KindExeHash)
	if err != nil || item == nil {
		return err
	}
	for i := range file.Hashes {
		h := &file.Hashes[i]
		if slices.Contains(h.Processes, record.ProcRef{PID: view.Process.PID, StartTicks: view.Process.StartTicks}) {
			view.Hash = h
			break
		}
	}
	return nil
}
