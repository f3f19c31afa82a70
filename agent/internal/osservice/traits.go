package osservice

import "strings"

// Trait is one thing that the service control manager of Windows is to know of the
// service, and how it stands. Windows asks no installer for them, so the agent sets them
// when it is installed and looks again at every start.
type Trait struct {
	ID    string `json:"id"` // the end of a text's key
	Level Level  `json:"level"`
	// Want and Got are in the words of the system; Got is empty where it does not tell.
	Want string `json:"want"`
	Got  string `json:"got,omitempty"`
	// Detail is why it is not known or could not be set. English.
	Detail string `json:"detail,omitempty"`
	// Mended says that it was wrong and has been put right now.
	Mended bool `json:"mended,omitempty"`
}

// The identifiers of traits.
const (
	TraitPreshutdown = "preshutdown" // how long Windows waits before a shutdown
	TraitRecovery    = "recovery"    // the service is started again after it failed, three times
	TraitNonCrash    = "non_crash"   // also when it ended with an error
	TraitSID         = "sid"         // it has an identity of its own, for firewall rules
	TraitRights      = "rights"      // only administrators may stop it
	TraitPath        = "path"        // its program's path is quoted
	TraitStart       = "start"       // it starts with the PC
	TraitLog         = "log"         // the event log has its source
)

// Traits lists the identifiers, in the order in which they are looked at.
func Traits() []string {
	return []string{TraitPreshutdown, TraitRecovery, TraitNonCrash, TraitSID, TraitRights, TraitPath, TraitStart, TraitLog}
}

// quotedPath reports whether Windows can read only one program out of a service's
// ImagePath: an unquoted path with a space lets whoever can write C:\Program.exe be
// started in its place (CreateProcess, lpCommandLine).
func quotedPath(image string) bool {
	if strings.HasPrefix(image, `"`) {
		return strings.Count(image, `"`) >= 2
	}
	program, _, _ := strings.Cut(strings.ToLower(image), ".exe")
	return !strings.ContainsAny(program, " \t")
}

// quoted puts the program of an ImagePath into quotation marks.
func quoted(image string) string {
	i := strings.Index(strings.ToLower(image), ".exe")
	if quotedPath(image) || i < 0 || strings.Contains(image, `"`) {
		return image
	}
	i += len(".exe")
	return `"` + image[:i] + `"` + image[i:]
}
