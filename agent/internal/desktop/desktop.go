// Package desktop shows a text on the desktop of the user that this process runs as, by
// the service that every desktop has for it. It knows nothing of what the text is about.
//
// Reference: Desktop Notifications Specification 1.2.
package desktop

import (
	"strings"
	"time"
)

// Notice is what is shown until the user takes it away.
type Notice struct {
	Title string
	// Body is plain text; what desktops may take for markup is spelt so that it is not.
	Body string
	// Quiet leaves it to the desktop whether it comes in front of everything else.
	Quiet bool
}

// retry is how often a desktop is asked that is still starting.
const retry = 500 * time.Millisecond

// The urgencies of a notice (section "Urgency Levels").
const (
	urgencyNormal   byte = 1
	urgencyCritical byte = 2
)

// plain spells text without markup (section "Markup").
func plain(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
