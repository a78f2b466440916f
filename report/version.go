package report

import "strings"

// NormalizeVersion returns the spelling of a version that is sent and counted,
// so that v1.2.3 and 1.2.3 are the same. It removes white space around the
// version and a v before a digit, replaces what is not printable ASCII by '_',
// and cuts off what is beyond [MaxVersionLen]. Normalizing twice changes
// nothing more.
func NormalizeVersion(text string) string {
	text = strings.TrimSpace(text)
	if !isPrintable(text) {
		text = strings.Map(func(c rune) rune {
			if c < ' ' || c > '~' {
				return '_'
			}
			return c
		}, text)
	}
	if len(text) > 1 && text[0]|0x20 == 'v' && isDigit(text[1]) {
		text = text[1:]
	}
	if len(text) > MaxVersionLen {
		text = strings.TrimRight(text[:MaxVersionLen], " ")
	}
	return text
}

// IsDevelopment reports whether developers rather than users run a version:
// the empty one, or one with a part dev, devel, development or dirty, in any
// case and with any digits around it. Examples are (devel), 1.2.3-dev,
// 1.2.3dev4, 1.2.3-5-g0123abc-dirty and 1.2.3+dirty, but not 1.2.3-rc.1,
// developer-edition, or a pseudo-version of Go.
func IsDevelopment(version string) bool {
	version = strings.ToLower(NormalizeVersion(version))
	parts := strings.FieldsFuncSeq(version, func(c rune) bool { return c > '~' || !letterOrDigit(byte(c)) })
	for part := range parts {
		switch strings.Trim(part, "0123456789") {
		case "dev", "devel", "development", "dirty":
			return true
		}
	}
	return version == ""
}

// validVersion reports whether a version has the form that is sent.
func validVersion(text string) bool {
	return lengthIn(text, MaxVersionLen) && isPrintable(text) && NormalizeVersion(text) == text
}

// adoptVersion normalizes a version that was received. It leaves one that no
// client can send for validVersion to refuse.
func adoptVersion(text string) string {
	if !isPrintable(text) {
		return text
	}
	return NormalizeVersion(text)
}

func isPrintable(text string) bool {
	return all(text, func(c byte) bool { return ' ' <= c && c <= '~' })
}
