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
// name, or because an address or a setting in it has one.
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
	for _, end := range [...]string{"_KEY", "PASS", "_PWD", "_PW", "_AUTH", "_PAT", "CREDS"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	if name == "KEY" || name == "PAT" || hasUserinfo(value) {
		return true
	}
	value = bytes.ToLower(value)
	for _, set := range [...]string{"password=", "passwd=", "pwd=", "@tcp(", "@unix("} {
		if bytes.Contains(value, []byte(set)) {
			return true
		}
	}
	return false
}

// hasUserinfo reports whether some address in v names more than a host (RFC 3986, 3.2.1):
// a password, which may hold what would end it if it were spelt by the rules, or a user,
// which is a key for many services, but a mere name for SSH.
func hasUserinfo(v []byte) bool {
	for {
		scheme, rest, ok := bytes.Cut(v, []byte("://"))
		if !ok {
			return false
		}
		v = rest
		all := rest
		if i := bytes.IndexAny(all, " \t\"'"); i >= 0 {
			all = all[:i]
		}
		host := all
		if i := bytes.IndexAny(all, "/?#"); i >= 0 {
			host = all[:i]
		}
		colon, at := bytes.IndexByte(host, ':'), bytes.LastIndexByte(host, '@')
		switch {
		case at < 0 && (colon < 0 || bytes.IndexByte(all, '@') < 0): // a host alone
		case at >= 0 && (colon < 0 || colon > at) && (bytes.HasSuffix(scheme, []byte("ssh")) || bytes.HasSuffix(scheme, []byte("sftp"))):
		default:
			return true
		}
	}
}
