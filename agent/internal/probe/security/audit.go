package security

import (
	"encoding/binary"
	"errors"
	"fmt"

	"hozen/internal/artifact/record"
)

// The messages of the audit (linux/audit.h).
const (
	auditGet       = 1000
	auditListRules = 1013
	maxRules       = 1 << 16
)

var errShort = errors.New("read the audit's answer: cut short")

// parseStatus reads struct audit_status.
func parseStatus(b []byte, s *record.SecurityTool) error {
	if len(b) < 32 {
		return errShort
	}
	ne := binary.NativeEndian
	s.AuditEnabled, s.AuditPID = int(ne.Uint32(b[4:])), int(int32(ne.Uint32(b[12:])))
	s.AuditLost, s.AuditBacklog = ne.Uint32(b[24:]), ne.Uint32(b[28:])
	s.State = record.SecurityDisabled
	if s.AuditEnabled != 0 {
		s.State = record.SecurityRunning
	}
	switch f := ne.Uint32(b[8:]); f { // what it does when it cannot keep up
	case 0:
		s.Mode = "failure=silent"
	case 1:
		s.Mode = "failure=printk"
	case 2:
		s.Mode = "failure=panic"
	default:
		s.Mode = fmt.Sprintf("failure=%d", f)
	}
	return nil
}

// header is a question without a body: struct nlmsghdr.
func header(typ uint16, seq uint32) []byte {
	const size, request = 16, 1
	ne := binary.NativeEndian
	b := ne.AppendUint32(make([]byte, 0, size), size)
	b = ne.AppendUint16(ne.AppendUint16(b, typ), request)
	return append(ne.AppendUint32(b, seq), 0, 0, 0, 0)
}
