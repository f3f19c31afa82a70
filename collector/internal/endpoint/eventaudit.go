package endpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// ActEvent is the act of the ledger's entry of an isolation event; its subject is the endpoint.
const ActEvent = "endpoint.isolation_event"

// Details are what that entry says of the row. It says beside how the lines begin, and what
// was observed.
func (e IsolationEvent) Details() map[string]string {
	return map[string]string{
		"event_id": e.ID, "endpoint": e.EndpointID, "event": string(e.Kind), "at": sqldb.FormatTime(e.At), "received_at": sqldb.FormatTime(e.ReceivedAt),
		"command_id": e.CommandID, "by": e.By, "detail": e.Detail, "count": strconv.FormatUint(uint64(e.Count), 10),
		"lines_sha256": linesSum(e.Differences, e.Seen), "differences_count": count(e.Differences),
	}
}

func count(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strconv.Itoa(len(lines))
}

// linesSum is the SHA-256, in hexadecimal, of all lines as they are stored, with a newline
// between; empty where there are none.
func linesSum(differences, seen []string) string {
	lines := cleaned(append(append([]string{}, differences...), seen...))
	if len(lines) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:])
}

// encodeLines are lines as they are stored.
func encodeLines(lines []string) string {
	b, _ := json.Marshal(cleaned(slices.Clone(lines))) // strings always encode
	return string(b)
}

func cleaned(lines []string) []string {
	for i := range lines {
		lines[i] = sqldb.CleanText(lines[i])
	}
	return lines
}

func replayEvent(s ledger.States, e ledger.Recorded) {
	with := e.Details
	if with["event_id"] == "" {
		return
	}
	s.Set(with["event_id"], "endpoint_id", e.Subject, "kind", with["event"], "at", with["at"], "command_id", with["command_id"], "told_by", with["by"],
		"detail", with["detail"], "times", with["count"], "lines_sha256", with["lines_sha256"])
	if with["received_at"] != "" { // entries of earlier versions lack these
		s.Set(with["event_id"], "received_at", with["received_at"], "differences_count", with["differences_count"])
	}
}

func deriveEvent(_ string, columns map[string]string) {
	var differences, seen []string
	if json.Unmarshal([]byte(columns["differences"]), &differences) != nil || json.Unmarshal([]byte(columns["seen"]), &seen) != nil {
		columns["lines_sha256"] = "unreadable"
		return
	}
	if encodeLines(differences) != columns["differences"] || encodeLines(seen) != columns["seen"] {
		columns["lines_sha256"] = "otherwise written"
		return
	}
	columns["lines_sha256"], columns["differences_count"] = linesSum(differences, seen), count(differences)
}

// ActBoot is the act of the ledger's entry of how a boot ended; its subject is the endpoint.
const ActBoot = "endpoint.boot"

// bootRows reads boots for [ledger.AuditStates].
const bootRows = `SELECT organisation_id AS organisation, acquisition_id AS key, ` + bootColumns + ` FROM endpoint_boot`

func replayBoot(s ledger.States, e ledger.Recorded) {
	s.Set(e.Details["acquisition"], "row_sha256", e.Details["row_sha256"])
}

func deriveBoot(_ string, columns map[string]string) {
	var texts []string
	for name := range strings.SplitSeq(bootColumns, ",") {
		texts = append(texts, columns[strings.TrimSpace(name)])
	}
	columns["row_sha256"] = ledger.RowSum(texts...)
}
