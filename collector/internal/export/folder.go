package export

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// shortID is how much of an identifier tells folders apart: its random end.
const shortID = 8

// HostFolder returns the name of the folder of an endpoint: its host name without whatever
// a file system or a reader could take amiss, and the end of its identifier.
func HostFolder(hostname, endpointID string) string {
	var b strings.Builder
	n := 0
	for _, r := range norm.NFC.String(strings.ToValidUTF8(hostname, "_")) {
		if n++; n > 40 {
			break
		}
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
			b.WriteRune(r)
		case r > unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	if b.Len() == 0 {
		b.WriteString("host")
	}
	return b.String() + "_" + endpointID[max(0, len(endpointID)-shortID):]
}
