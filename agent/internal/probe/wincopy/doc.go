// Package wincopy is the probes that copy chosen files of Windows byte for byte: event logs,
// histories, tasks and what else starts something, traces of programs that ran, hives of the
// registry. It knows nothing of what stands in them.
//
// What evidence: for each file its status, its bytes with their SHA-256, and what it did while
// it was read; for each row of the table what was looked for and what came of it.
//
// Source of truth: the files, opened so that others may go on using them. Logs of events are
// exported (EvtExportLog), or copied as they lie there where that does not work; of long ones
// the newest events. The end of the USN journal is read as records (FSCTL_READ_USN_JOURNAL).
// Loaded hives of the registry cannot be opened: the system saves them (RegSaveKeyEx) into a
// file of the agent's, which is copied and goes when it is closed, whatever ends the agent.
//
// Privileges: an administrator for most, with the privilege of backups.
//
// Footprint: files and folders are read. A hive and an exported log need their size of the disk
// for as long as they are copied; 256 MiB stay free. What lies in a cloud and would be fetched,
// and links, are told and not read.
//
// Volatility: Derivable.
//
// Blind spots: files that their program lets nobody read (SRUM, amcache while they are written)
// are told as "locked". Private rows are left out unless the privacy scope allows them.
package wincopy
