package sorted_test

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hozen/agent/internal/sorted"
)

type pair struct{ key, place int }

func byKey(a, b pair) int { return cmp.Compare(a.key, b.key) }

// TestAsSlices: the order is that of the standard library's generic sort.
func TestAsSlices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []pair
		for i, k := range rapid.SliceOfN(rapid.IntRange(0, 9), 0, 200).Draw(t, "keys") {
			list = append(list, pair{k, i})
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, byKey)
		stable := slices.Clone(list)
		sorted.StableFunc(stable, byKey)
		if !slices.Equal(stable, want) {
			t.Fatalf("stable: %v, want %v", stable, want)
		}
		sorted.Func(list, byKey)
		if !slices.IsSortedFunc(list, byKey) {
			t.Fatal(list)
		}
	})
}
