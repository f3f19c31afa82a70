package procenv

import (
	"bytes"
	"strings"

	"hozen/internal/artifact/record"
)

// Parse splits the bytes of an environment into variables. Empty texts, as a process
// leaves them that wrote its title there, are left out. withheld is how many stand
// without their value.
func Parse(b []byte) (vars []record.EnvVar, withheld int) {
	for len(b) > 0 {
		one, rest, _ := bytes.Cut(b, []byte{0})
		b = rest
		if len(one) == 0 {
			continue
		}
		name, value, ok := bytes.Cut(one, []byte{'='})
		if len(name) == 0 { // "=x" is no variable
			name, value, ok = one, nil, false
		}
		v := record.EnvVar{Bare: !ok}
		v.Name, v.NameRaw = record.Text(name)
		if Withhold(v.Name, value) {
			v.Withheld, v.ValueBytes = true, len(value)
			withheld++
		} else {
			v.Value, v.ValueRaw = record.Text(value)
		}
		vars = append(vars, v)
	}
	return vars, withheld
}

// Withhold reports whether the value of a variable looks like a secret: by the variable's
// name, or because it is an address with a password in it.
func Withhold(name string, value []byte) bool {
	if len(value) == 0 {
		return false
	}
	name = strings.ToUpper(name)
	for _, word := range [...]string{
		"PASSW", "PASSPHRASE", "PASSCODE", "SECRET", "TOKEN", "CREDENTIAL", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY", "COOKIE", "BEARER",
	} {
		if strings.Contains(name, word) {
			return true
		}
	}
	for _, end := range [...]string{"_KEY", "_PASS", "_PWD", "_PW", "_AUTH"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return name == "PASS" || name == "KEY" || hasUserinfo(value)
}

// hasUserinfo reports whether some address in v has a password (RFC 3986, 3.2.1).
func hasUserinfo(v []byte) bool {
	for {
		_, rest, ok := bytes.Cut(v, []byte("://"))
		if !ok {
			return false
		}
		v = rest
		host := v
		if i := bytes.IndexAny(host, "/?# \t\"'"); i >= 0 {
			host = host[:i]
		}
		if i := bytes.LastIndexByte(host, '@'); i >= 0 && bytes.IndexByte(host[:i], ':') >= 0 {
			return true
		}
	}
}
