package sqldb

import (
	"iter"
	"slices"
	"strconv"
	"strings"
)

// inSizes are the lengths of the lists that [In] makes: few, so that few statements are
// kept.
var inSizes = [...]int{64, 8, 1}

// In cuts a list of values into pieces for "x IN …" and yields the arguments of each
// with its placeholders, "($3, $4)", which count from first.
func In(values []string, first int) iter.Seq2[[]any, string] {
	return func(yield func([]any, string) bool) {
		for len(values) > 0 {
			i := slices.IndexFunc(inSizes[:], func(n int) bool { return n <= len(values) })
			n := inSizes[i]
			args := make([]any, n)
			var in strings.Builder
			for k := range n {
				args[k] = values[k]
				in.WriteString(", $" + strconv.Itoa(first+k))
			}
			values = values[n:]
			if !yield(args, "("+in.String()[2:]+")") {
				return
			}
		}
	}
}
