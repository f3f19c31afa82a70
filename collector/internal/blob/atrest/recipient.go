package atrest

// Recipients are the public keys to whom others encrypt what only this collector is to read,
// as text: that of the newest data key. What was encrypted to one before opens too, as long as
// its data key is there.
func (r *Ring) Recipients() ([]string, error) {
	if len(r.keys) == 0 {
		return nil, ErrNoKeys
	}
	return []string{r.keys[len(r.keys)-1].id.Recipient().String()}, nil
}
