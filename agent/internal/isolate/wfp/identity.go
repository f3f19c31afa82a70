package wfp

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// serviceSID is the SID of a Windows service in its binary form: S-1-5-80 and the SHA-1 of
// the name in capitals, as RtlCreateServiceSid makes it. A process has it in its token
// only if the service's SID type is set (SERVICE_SID_TYPE_UNRESTRICTED).
func serviceSID(name string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(strings.ToUpper(name))) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	h := sha1.Sum(b)
	sid := []byte{1, 6, 0, 0, 0, 0, 0, 5}
	sid = binary.LittleEndian.AppendUint32(sid, 80)
	return append(sid, h[:]...)
}

// localSystem is S-1-5-18.
func localSystem() []byte { return []byte{1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0} }

// matchFilter is FWP_ACTRL_MATCH_FILTER, the right that a condition on the user asks for.
const matchFilter = 1

// descriptor is a self-relative security descriptor that grants sid the right to match
// (SECURITY_DESCRIPTOR_RELATIVE, ACL and ACCESS_ALLOWED_ACE of winnt.h).
func descriptor(sid []byte) []byte {
	system := localSystem()
	aceSize := 8 + len(sid)
	aclSize := 8 + aceSize
	const header = 20
	owner := header + aclSize
	group := owner + len(system)
	const present, selfRelative = 0x0004, 0x8000
	le := binary.LittleEndian
	b := []byte{1, 0}
	b = le.AppendUint16(b, present|selfRelative)
	b = le.AppendUint32(b, uint32(owner))
	b = le.AppendUint32(b, uint32(group))
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, header)
	b = append(b, 2, 0) // ACL_REVISION
	b = le.AppendUint16(b, uint16(aclSize))
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, 0)
	b = append(b, 0, 0) // ACCESS_ALLOWED_ACE_TYPE
	b = le.AppendUint16(b, uint16(aceSize))
	b = le.AppendUint32(b, matchFilter)
	b = append(b, sid...)
	b = append(b, system...)
	return append(b, system...)
}

// ace is one entry of a DACL.
type ace struct {
	kind byte
	mask uint32
	sid  []byte
}

var errDescriptor = errors.New("security descriptor is not understood")

// entries are those of the DACL of a self-relative security descriptor, however it is laid
// out.
func entries(b []byte) ([]ace, error) {
	le := binary.LittleEndian
	if len(b) < 20 || b[0] != 1 || le.Uint16(b[2:])&0x8004 != 0x8004 {
		return nil, errDescriptor
	}
	at := int64(le.Uint32(b[16:]))
	if at < 20 || at+8 > int64(len(b)) {
		return nil, errDescriptor
	}
	acl := b[at:]
	n := int(le.Uint16(acl[4:]))
	acl = acl[:min(len(acl), int(le.Uint16(acl[2:])))]
	if len(acl) < 8 {
		return nil, errDescriptor
	}
	rest := acl[8:]
	var out []ace
	for range n {
		if len(rest) < 8 {
			return nil, errDescriptor
		}
		size := int(le.Uint16(rest[2:]))
		if size < 8 || size > len(rest) {
			return nil, errDescriptor
		}
		sid, err := firstSID(rest[8:size])
		if err != nil {
			return nil, err
		}
		out = append(out, ace{rest[0], le.Uint32(rest[4:]), sid})
		rest = rest[size:]
	}
	return out, nil
}

func firstSID(b []byte) ([]byte, error) {
	if len(b) < 8 || b[0] != 1 || b[1] > 15 || len(b) < 8+4*int(b[1]) {
		return nil, errDescriptor
	}
	return b[:8+4*int(b[1])], nil
}

// sidString is "S-1-5-80-…".
func sidString(b []byte) string {
	if _, err := firstSID(b); err != nil {
		return fmt.Sprintf("%x", b)
	}
	authority := uint64(0)
	for _, c := range b[2:8] {
		authority = authority<<8 | uint64(c)
	}
	s := fmt.Sprintf("S-1-%d", authority)
	for i := range int(b[1]) {
		s += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(b[8+4*i:]))
	}
	return s
}

// descriptorString is what a descriptor grants to whom, the same for all that grant the
// same; owner and group are of no consequence for a condition.
func descriptorString(b []byte) string {
	es, err := entries(b)
	if err != nil {
		return fmt.Sprintf("%x", b)
	}
	var parts []string
	for _, e := range es {
		parts = append(parts, fmt.Sprintf("%d:%x:%s", e.kind, e.mask, sidString(e.sid)))
	}
	return strings.Join(parts, ",")
}
