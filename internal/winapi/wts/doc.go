// Package wts lists the sessions of a Windows PC, shows messages there and starts programs
// in them as their users. It knows nothing of which messages and programs, or why.
//
// Interface: Remote Desktop Services API (WTSEnumerateSessions, WTSQueryUserToken,
// WTSSendMessage), which
// is there with and without remote desktops. Starting programs is the system's alone.
package wts
