package config

// Decode reads a document without judging the values.
func Decode(b []byte) (Config, error) {
	c := Default()
	err := decode(b, c.settings())
	return c, err
}
