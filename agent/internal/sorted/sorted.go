// Package sorted sorts lists of any type with one copy of the algorithm, where
// slices.SortFunc would add some 20 KB to the program for every type. It is for lists
// that are sorted now and then; it knows nothing of what is in them.
package sorted

import "sort"

// Func sorts s by cmp, which is negative when a comes before b, as slices.SortFunc
// does: equal ones may change places.
func Func[T any](s []T, cmp func(a, b T) int) {
	sort.Slice(s, func(i, j int) bool { return cmp(s[i], s[j]) < 0 })
}

// StableFunc sorts s by cmp and leaves equal ones in their order.
func StableFunc[T any](s []T, cmp func(a, b T) int) {
	sort.SliceStable(s, func(i, j int) bool { return cmp(s[i], s[j]) < 0 })
}
