// Package crashpoint lets a test kill a program at a named moment. In ordinary
// builds it is nothing; built with the tag "crashpoint", the process is killed
// (SIGKILL, nothing runs any more) at [Hit] when the environment variable
// HOZEN_CRASH_AT holds the point's name, or "name:3" for the third time. It knows
// nothing of the steps that it names.
package crashpoint

import "slices"

// The steps that are tested both ways: each is a pair of points, "step.before"
// (not persisted) and "step.after" (persisted). Whoever adds a step adds it here.
const (
	// Agent, package spool, in the order of an acquisition.
	SpoolBeginFolder = "spool.begin.folder"   // the folder of the acquisition is there
	SpoolBeginPlan   = "spool.begin.plan"     // its plan is kept
	SpoolPartCreate  = "spool.part.create"    // the file of a part is there, empty
	SpoolPartSync    = "spool.part.sync"      // the bytes of a part are synced
	SpoolPartRename  = "spool.part.rename"    // the part has its final name
	SpoolNote        = "spool.note"           // the running notes are replaced
	SpoolSealFiles   = "spool.seal.manifest"  // manifest, key and certificate are kept
	SpoolSeal        = "spool.seal.signature" // the signature is kept: sealed
	SpoolSettle      = "spool.settle"         // receipt or refusal is kept
	SpoolDrop        = "spool.drop"           // the folder has lost its name

	// Agent, package journal, in the order of a command's life.
	JournalCommand = "journal.command" // an order is kept; it is acknowledged next
	JournalStart   = "journal.start"   // it is noted that the order is begun
	JournalResult  = "journal.result"  // the result is kept
	JournalConfirm = "journal.confirm" // it is noted that the collector has the result or the alert
	JournalAlert   = "journal.alert"   // a report of trouble is kept; the person is told so next
	// JournalEvent: what happened to an isolation is kept; it is told next. No order leads
	// there, so it is not in All; package journal kills there by itself.
	JournalEvent = "journal.event"

	// Collector, package evidence, in the order of an upload.
	EvidencePartWritten = "evidence.part.written" // bytes of a chunk are in the incoming file
	EvidencePartEnded   = "evidence.part.ended"   // the part was checked and marked as complete
	EvidenceSealKept    = "evidence.seal.kept"    // the checked manifest lies beside the parts
	EvidenceBlobKept    = "evidence.blob.kept"    // one artifact is in the blob store
	EvidenceRowsKept    = "evidence.rows.kept"    // rows, ledger entries and receipt are committed
	EvidenceCleaned     = "evidence.cleaned"      // the incoming folder is gone

	// Collector, package sqldb: any act, such as an order, its result or an alert.
	DatabaseCommit = "database.commit" // the transaction is committed
)

// All returns the name of every point of the steps above.
func All() []string {
	var out []string
	for _, step := range []string{
		SpoolBeginFolder, SpoolBeginPlan, SpoolPartCreate, SpoolPartSync, SpoolPartRename, SpoolNote, SpoolSealFiles, SpoolSeal, SpoolSettle, SpoolDrop,
		JournalCommand, JournalStart, JournalResult, JournalConfirm, JournalAlert,
		EvidencePartWritten, EvidencePartEnded, EvidenceSealKept, EvidenceBlobKept, EvidenceRowsKept, EvidenceCleaned,
		DatabaseCommit,
	} {
		out = append(out, step+".before", step+".after")
	}
	return slices.Clip(out)
}
