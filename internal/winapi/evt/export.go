package evt

// Log is how large a log of events is.
type Log struct {
	Size          int64  // bytes of its file
	Oldest, Count uint64 // the number (EventRecordID) of its first event, and how many there are
}
