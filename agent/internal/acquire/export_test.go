package acquire

// CheckNote lets a fuzz test at the reader of the running notes.
func CheckNote(b []byte) error {
	_, err := parseNote(b)
	return err
}
