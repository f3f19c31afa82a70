package spool

// CheckHead lets a fuzz test at the reader of acquisition.json.
func CheckHead(b []byte) error {
	_, err := parseHead(b)
	return err
}
