package msgbus

import (
	"encoding/binary"
	"errors"
)

// Types of messages and the flag and fields that are looked at (D-Bus specification,
// "Message Format").
const (
	typeCall   = 1
	typeReply  = 2
	typeError  = 3
	typeSignal = 4

	fixedHead = 16 // bytes: what stands before the fields
)

var errHead = errors.New("message of the bus with a header that is none")

// frameSize returns the length of the header of the message that begins with b, which has
// at least fixedHead bytes, and of the whole message.
func frameSize(b []byte) (head, whole int64, err error) {
	order, err := orderOf(b[0])
	if err != nil {
		return 0, 0, err
	}
	head = fixedHead + (int64(order.Uint32(b[12:]))+7)&^7
	whole = head + int64(order.Uint32(b[4:]))
	if whole > 1<<27 { // the most that the specification allows
		return 0, 0, errHead
	}
	return head, whole, nil
}

func orderOf(b byte) (binary.ByteOrder, error) {
	switch b {
	case 'l':
		return binary.LittleEndian, nil
	case 'B':
		return binary.BigEndian, nil
	}
	return nil, errHead
}

// parseHead reads the header of a message, whose first bytes b has: all of the header at
// least. Fields of types that no field has in this version of D-Bus make it an error.
func parseHead(b []byte) (Head, error) {
	if len(b) < fixedHead {
		return Head{}, errHead
	}
	order, err := orderOf(b[0])
	if err != nil {
		return Head{}, err
	}
	h := Head{kind: b[1]}
	end := int64(fixedHead) + int64(order.Uint32(b[12:]))
	if end > int64(len(b)) {
		return Head{}, errHead
	}
	r := fields{b: b[:end], at: fixedHead, order: order}
	for r.at < len(r.b) && r.ok() {
		r.align(8)
		code := r.byte()
		switch sig := r.signature(); sig {
		case "s", "o":
			v := r.text()
			switch code {
			case 1:
				h.Path = v
			case 2:
				h.Interface = v
			case 3:
				h.Member = v
			case 4:
				h.name = v
			case 7:
				h.Sender = v
			}
		case "u":
			v := r.uint32()
			switch code {
			case 5:
				h.replyTo = v
			case 9:
				h.fds = v
			}
		case "g":
			r.signature()
		default:
			return Head{}, errHead
		}
	}
	if !r.ok() || h.fds > 1024 {
		return Head{}, errHead
	}
	return h, nil
}

// fields reads header fields; once it failed, it stays so.
type fields struct {
	b     []byte
	at    int
	order binary.ByteOrder
	bad   bool
}

func (r *fields) ok() bool { return !r.bad }

func (r *fields) align(n int) { r.at = (r.at + n - 1) &^ (n - 1) }

func (r *fields) take(n uint32) []byte {
	if r.bad || r.at > len(r.b) || int64(n) > int64(len(r.b)-r.at) {
		r.bad = true
		return nil
	}
	v := r.b[r.at : r.at+int(n)]
	r.at += int(n)
	return v
}

func (r *fields) byte() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *fields) uint32() uint32 {
	r.align(4)
	if v := r.take(4); v != nil {
		return r.order.Uint32(v)
	}
	return 0
}

// text reads a string with its NUL.
func (r *fields) text() string {
	v := r.take(r.uint32())
	r.take(1)
	return string(v)
}

// signature reads a signature with its NUL.
func (r *fields) signature() string {
	v := r.take(uint32(r.byte()))
	r.take(1)
	return string(v)
}
