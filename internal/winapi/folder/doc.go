// Package folder makes folders that nobody but the system and the administrators can
// change, out of what others may have put in their place before. It knows nothing of what
// is kept in them.
package folder

import "strings"

// Who may use a folder. What is below %ProgramData% can be read, and new files made there,
// by every account unless it is said otherwise (SDDL,
// https://learn.microsoft.com/windows/win32/secauthz/ace-strings): the system (SY) and the
// administrators (BA) may do everything, others (BU) nothing or read.
const (
	Closed   = "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
	Readable = Closed + "(A;OICI;0x1200a9;;;BU)"
)

// What is in a closed folder inherits its rights. A folder has others than it will have in
// the end until all that is in it was looked at: whoever is interrupted begins anew.
const (
	meanwhile   = "O:BAG:SYD:PAI(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)"
	childFolder = "O:BAD:ARAI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)"
	childFile   = "O:BAD:ARAI(A;ID;FA;;;SY)(A;ID;FA;;;BA)"
)

// same reports whether two descriptors say the same of owner and rights; the group and
// the marks of inheritance do not count.
func same(a, b string) bool { return essence(a) == essence(b) }

func essence(sddl string) string {
	owner, dacl, _ := strings.Cut(sddl, "D:")
	owner, _, _ = strings.Cut(owner, "G:")
	flags, aces, _ := strings.Cut(dacl, "(")
	protected := strings.Contains(flags, "P")
	if protected {
		return owner + "P(" + aces
	}
	return owner + "(" + aces
}
