package ledger

// CheckText opens decode to the fuzzer.
func CheckText(s string) error {
	_, err := decode(s)
	return err
}
