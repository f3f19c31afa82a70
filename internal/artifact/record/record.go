// Package record is the lines of every kind of artifact: the agent writes them with
// AppendJSON, everyone else reads them with encoding/json. It knows nothing of how
// an operating system is asked, nor of files or networks.
//
// Each line of an artifact is one JSON object. Three rules hold for all of them:
//
//   - Text is UTF-8. Where the endpoint's bytes were not, the text field shows U+FFFD
//     for each wrong byte and a twin named …_b64 holds the exact bytes in base64.
//   - A field that is absent was not known; where zero means something, the field is
//     always there. Fields that the system refused to show are listed in "unread".
//   - Times are UTC, RFC 3339, nanoseconds where the source has them.
package record

import (
	"strings"
	"unicode/utf8"
)

// The schemas of this version, as they stand in manifests.
const (
	SchemaProcess   = "hozen.process/1"
	SchemaSocket    = "hozen.netconn/1"
	SchemaOpenFiles = "hozen.openfile/1"
	SchemaExeHash   = "hozen.exehash/1"
	SchemaSession   = "hozen.session/1"
	SchemaNetConfig = "hozen.netconfig/1"
	SchemaHostInfo  = "hozen.hostinfo/1"
	SchemaClock     = "hozen.clock/1"
)

// Unknown is the value of a user, group or descriptor number that is not known.
const Unknown = -1

// Text splits what the system said into the text to show and, only where that text
// is not the whole truth, the exact bytes for the …_b64 twin.
func Text(raw []byte) (text string, exact []byte) {
	if utf8.Valid(raw) {
		return string(raw), nil
	}
	return shown(string(raw)), append([]byte(nil), raw...)
}

// TextOf is [Text] for bytes that already are a string.
func TextOf(raw string) (text string, exact []byte) {
	if utf8.ValidString(raw) {
		return raw, nil
	}
	return shown(raw), []byte(raw)
}

// shown replaces each wrong byte by U+FFFD, exactly as encoding/json does.
func shown(s string) string {
	var t strings.Builder
	t.Grow(len(s) + 16)
	for _, r := range s { // ranging yields U+FFFD for each byte that is not UTF-8
		t.WriteRune(r)
	}
	return t.String()
}
