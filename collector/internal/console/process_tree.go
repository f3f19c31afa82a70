package console

import (
	"cmp"
	"slices"

	"hozen/collector/internal/act"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type processTreeView struct {
	Frame evidenceFrame
	Rows  []treeRow
	Cut   int // rows beyond what one page shows
}

// treeRow is one process of the tree in reading order.
type treeRow struct {
	processRow
	Depth int  // for the indent; deeper than the deepest indent stays there
	Deep  bool // the indent is not the whole truth
}

// Limits of the tree. A chain of processes can be as long as an attacker likes.
const (
	maxIndent   = 24
	maxTreeRows = 5000
)

func (s *server) processTree(v *visit) error {
	f, err := s.readEvidence(v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if f.Item.Kind != artifact.KindProcess {
		return act.ErrNotFound
	}
	rows := growTree(f.File.Processes)
	view := processTreeView{Frame: f, Rows: rows}
	if len(rows) > maxTreeRows {
		view.Rows, view.Cut = rows[:maxTreeRows], len(rows)-maxTreeRows
	}
	return s.showEvidence(v, "process_tree", f, view)
}

// growTree orders processes below their parents. Every process appears exactly once,
// whatever the records claim: those whose parent is absent, started later, or stands
// in a circle with them are roots.
func growTree(all []record.Process) []treeRow {
	byPID := make(map[int][]int, len(all)) // a hostile record may repeat a PID
	for i := range all {
		byPID[all[i].PID] = append(byPID[all[i].PID], i)
	}
	children := make(map[int][]int, len(all))
	var roots []int
	for i := range all {
		p := &all[i]
		parents := byPID[p.PPID]
		if len(parents) == 0 || parents[0] == i || all[parents[0]].StartTicks > p.StartTicks {
			roots = append(roots, i)
			continue
		}
		children[parents[0]] = append(children[parents[0]], i)
	}
	order := func(a, b int) int {
		return cmp.Or(cmp.Compare(all[a].StartTicks, all[b].StartTicks), cmp.Compare(all[a].PID, all[b].PID))
	}
	rows := make([]treeRow, 0, len(all))
	seen := make([]bool, len(all))
	type todo struct{ i, depth int }
	visit := func(root int) {
		stack := []todo{{root, 0}}
		for len(stack) > 0 {
			t := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[t.i] {
				continue
			}
			seen[t.i] = true
			rows = append(rows, treeRow{processRow{&all[t.i]}, min(t.depth, maxIndent), t.depth > maxIndent})
			next := children[t.i]
			slices.SortFunc(next, order)
			for _, c := range slices.Backward(next) {
				stack = append(stack, todo{c, t.depth + 1})
			}
		}
	}
	slices.SortFunc(roots, order)
	for _, r := range roots {
		visit(r)
	}
	for i := range all { // circles have no root
		if !seen[i] {
			visit(i)
		}
	}
	return rows
}
