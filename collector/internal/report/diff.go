package report

import "slices"

// Change is what differs in one block between two versions of a document.
type Change struct {
	Key, Title string
	Gone, New  []string // sentences and rows, in their order
}

// Differences tells what newer says otherwise than older, block by block in the order of
// newer; blocks that only older has come last.
func Differences(older, newer Document) []Change {
	var out []Change
	seen := map[string]bool{}
	for _, b := range newer.Blocks {
		seen[b.Key] = true
		var before []string
		if i := slices.IndexFunc(older.Blocks, func(o Block) bool { return o.Key == b.Key }); i >= 0 {
			before = said(older.Blocks[i])
		}
		gone, fresh := differ(before, said(b))
		if len(gone)+len(fresh) > 0 {
			out = append(out, Change{b.Key, b.Title, gone, fresh})
		}
	}
	for _, b := range older.Blocks {
		if s := said(b); !seen[b.Key] && len(s) > 0 {
			out = append(out, Change{b.Key, b.Title, s, nil})
		}
	}
	return out
}

// said is everything that a block says, each sentence and each row once.
func said(b Block) []string {
	var out []string
	for _, s := range b.Sentences {
		out = append(out, s.Text)
	}
	if b.Table != nil {
		for _, r := range b.Table.Rows {
			row := ""
			for i, c := range r {
				if i > 0 {
					row += " | "
				}
				row += c
			}
			out = append(out, row)
		}
	}
	return out
}

// differ returns what is only in a and what is only in b, counting what stands twice.
func differ(a, b []string) (gone, fresh []string) {
	have := map[string]int{}
	for _, s := range b {
		have[s]++
	}
	for _, s := range a {
		if have[s] > 0 {
			have[s]--
			continue
		}
		gone = append(gone, s)
	}
	have = map[string]int{}
	for _, s := range a {
		have[s]++
	}
	for _, s := range b {
		if have[s] > 0 {
			have[s]--
			continue
		}
		fresh = append(fresh, s)
	}
	return gone, fresh
}
