package record

// SchemaSelfTest names the lines of an artifact of the kind "selftest".
const SchemaSelfTest = "hozen.selftest/1"

// SelfTest is what came of one check that an administrator had the agent make of itself.
// An artifact has one line for each.
type SelfTest struct {
	Check string `json:"check"` // stable code
	// Outcome is "ok", "warn", "bad", "unknown" (it could not be found out) or
	// "not_available" (this system or this version cannot do it).
	Outcome string `json:"outcome"`
	Want    string `json:"want,omitempty"` // what is to be, in the words of the system
	Got     string `json:"got,omitempty"`
	Detail  string `json:"detail,omitempty"`  // English
	TookNS  int64  `json:"took_ns,omitempty"` // of what is measured
}

// AppendJSON appends t as one JSON object.
func (t *SelfTest) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "check", t.Check)
	b = strAlways(b, "outcome", t.Outcome)
	b = str(b, "want", t.Want)
	b = str(b, "got", t.Got)
	b = str(b, "detail", t.Detail)
	b = num(b, "took_ns", t.TookNS)
	return append(b, '}')
}
