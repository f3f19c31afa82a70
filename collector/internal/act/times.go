package act

import "time"

// zeroTime is "ever" where a query asks since when.
var zeroTime time.Time

// sane drops a time of another clock that the database could not hold; nobody's
// clock is honestly there.
func sane(t time.Time) time.Time {
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		return time.Time{}
	}
	return t
}
