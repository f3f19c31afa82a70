package identity

// Check lets a fuzz test at the reader of identity.json.
func Check(b []byte) error {
	_, err := parse(b)
	return err
}
