package probe

// RawWriter is what a [Writer] also is for kinds that are not made of lines, see
// artifact.Form.
type RawWriter interface {
	// Room reports why n bytes would not fit where they are kept. It is asked before the
	// first of many: half of them help nobody, and the PC needs its disk.
	Room(n int64) error
	// WriteRaw appends bytes, all of them or none; b may be reused as soon as it returns.
	WriteRaw(b []byte) error
}

// Summary is a probe that asks the endpoint nothing and tells what one before it has found
// out, such as the table of what an image of memory holds. Where that one has begun it runs,
// for a moment, also when the acquisition is broken off: what the other left is worth little
// without it.
type Summary interface {
	Probe
	// Begun reports whether there is something to tell.
	Begun() bool
}
