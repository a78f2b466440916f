package report

import "strings"

// NormalizeVersion gives the one spelling that is sent and counted for a version, so that v1.2.3 and 1.2.3 are the same:
// without white space around it, without a v before a digit, and otherwise as the host wrote it. What is not printable
// ASCII becomes '_', and what is beyond [MaxVersionLen] is cut off. Normalising twice changes nothing more.
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

// IsDevelopment tells whether a version is one that a developer runs rather than a user: none at all, or one with dev,
// devel, development or dirty as a part of its own, whatever the case and the digits around it. So are (devel),
// 1.2.3-dev, 1.2.3dev4, 1.2.3-5-g0123abc-dirty and 1.2.3+dirty, but not 1.2.3-rc.1, developer-edition or a
// pseudo-version of Go.
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

// validVersion tells whether a version is in the form that is sent.
func validVersion(text string) bool {
	return lengthIn(text, MaxVersionLen) && isPrintable(text) && NormalizeVersion(text) == text
}

// adoptVersion normalises a version that was received, if it is one: what could not have been sent is left for
// validVersion to refuse.
func adoptVersion(text string) string {
	if !isPrintable(text) {
		return text
	}
	return NormalizeVersion(text)
}

func isPrintable(text string) bool {
	return all(text, func(c byte) bool { return ' ' <= c && c <= '~' })
}
