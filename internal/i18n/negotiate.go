package i18n

import (
	"strconv"
	"strings"
)

// Parse returns the language that s names exactly, as a cookie or a flag does.
func Parse(s string) (Language, bool) {
	for _, l := range Languages() {
		if s == string(l) {
			return l, true
		}
	}
	return "", false
}

// maxHeader bounds the work on a header that a stranger wrote.
const maxHeader = 1024

// FromHeader chooses by an Accept-Language header (RFC 9110, 12.5.4). Japanese when
// nothing is asked for; English when only languages are asked for that we don't have,
// because their readers rather read English.
func FromHeader(accept string) Language {
	if len(accept) > maxHeader {
		accept = accept[:maxHeader]
	}
	var best Language
	bestQ, asked := 0.0, false
	for part := range strings.SplitSeq(accept, ",") {
		tag, params, _ := strings.Cut(part, ";")
		tag = strings.ToLower(strings.TrimSpace(tag))
		q := quality(params)
		if tag == "" || tag == "*" || q == 0 {
			continue
		}
		asked = true
		base, _, _ := strings.Cut(tag, "-")
		if l, ok := Parse(base); ok && q > bestQ {
			best, bestQ = l, q
		}
	}
	switch {
	case best != "":
		return best
	case asked:
		return English
	}
	return Japanese
}

// quality reads ";q=0.8"; absent is 1 and nonsense is 0, which leaves the tag out.
func quality(params string) float64 {
	params = strings.TrimSpace(params)
	if params == "" {
		return 1
	}
	v, ok := strings.CutPrefix(strings.ToLower(params), "q=")
	if !ok {
		return 0
	}
	q, err := strconv.ParseFloat(v, 64)
	if err != nil || !(q >= 0 && q <= 1) { // written so that NaN is refused too
		return 0
	}
	return q
}

// FromLocale chooses by POSIX locale names such as "ja_JP.UTF-8", in the order in
// which they count: LC_ALL, LC_MESSAGES, LANG (POSIX.1-2017, 8.2). The first that is not
// empty decides; "C" and "POSIX" ask for nothing and get Japanese.
func FromLocale(values ...string) Language {
	for _, v := range values {
		if v == "" {
			continue
		}
		name, _, _ := strings.Cut(v, ".")
		name, _, _ = strings.Cut(name, "@")
		base, _, _ := strings.Cut(strings.ToLower(name), "_")
		if l, ok := Parse(base); ok {
			return l
		}
		if base == "c" || base == "posix" {
			return Japanese
		}
		return English
	}
	return Japanese
}
