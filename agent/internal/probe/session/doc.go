// Package session is the probe of who is signed in. It knows nothing of passwords or
// of sign-ins of the past.
//
// What evidence: one line per sign-in and source, with user, terminal, far host,
// service, leading process and time. logind and utmp keep their records apart, and an
// intruder who edits one often forgets the other: both are written as they are.
//
// Source of truth: Linux: the files of logind, /run/systemd/sessions/* (what
// sd_login(3) reads), and /run/utmp (utmp(5)), which systems since systemd 257 may no
// longer have. Windows: WTSEnumerateSessions (terminal sessions), LsaEnumerateLogonSessions
// (every sign-in, needs an administrator), NetSessionEnum (who uses the shares).
//
// Privileges: none.
//
// Footprint: reads of small files under /run. No bus is asked, no program is run.
//
// Volatility: Presence.
//
// Blind spots: sign-ins that register nowhere (a shell over a reverse connection, ssh
// without a terminal on systems without logind, su, containers) are seen as processes
// only. Both sources can be written by root.
package session
