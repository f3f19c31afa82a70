package scan

import (
	"fmt"
	"strings"
)

// lack is one way in which a pass came short, with how often; the format has one verb
// for the number.
type lack struct {
	n      int64
	format string
}

// told says what came short, leaving out what did not happen: the text stands in the
// manifest and in front of people.
func told(lacks ...lack) string {
	var parts []string
	for _, l := range lacks {
		if l.n > 0 {
			parts = append(parts, fmt.Sprintf(l.format, l.n))
		}
	}
	return strings.Join(parts, ", ")
}
