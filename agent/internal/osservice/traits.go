package osservice

import (
	"strings"
	"time"
)

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

// Of the recovery actions: the delays before the first, the second and every further
// start, and after how long without a failure counting begins anew.
func recoveryDelays() []time.Duration {
	return []time.Duration{5 * time.Second, 30 * time.Second, time.Minute}
}

const recoveryReset = 24 * time.Hour

// serviceRights is the service's security descriptor (SDDL; Service Security and Access
// Rights): the system and administrators may do everything, people at the PC and services
// may look. Windows' own default lets people send user-defined controls, which end this
// service, see [RehearsalCode].
const serviceRights = "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)(A;;CCLCSWLORC;;;IU)(A;;CCLCSWLORC;;;SU)"

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

// entries are the entries of a DACL in SDDL, without the flags of the list, which Windows
// adds to by itself.
func entries(sddl string) string {
	if i := strings.IndexByte(sddl, '('); i >= 0 {
		return sddl[i:]
	}
	return sddl
}
