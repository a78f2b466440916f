package updates

import (
	"errors"
	"strings"

	"github.com/rollcall-dev/rollcall/report"
)

const https = "https://"

// CheckPrefix returns what is wrong with the address that all URLs of releases
// must lie under: https, a host, and perhaps a path, without anything that could
// lead elsewhere.
func CheckPrefix(prefix string) error {
	rest, ok := strings.CutPrefix(prefix, https)
	host, path, _ := strings.Cut(rest, "/")
	switch {
	case !ok:
		return errors.New("not an https URL")
	case host == "" || strings.Trim(host, hostBytes) != "" || !isAlphanumeric(host[0]) && host[0] != '[':
		return errors.New("not a URL of scheme, host and path")
	case strings.ContainsAny(path, "?#%") || !isPlain("/"+path):
		return errors.New("the path has something else than plain segments")
	case len(prefix) > report.MaxReleaseURLLen:
		return errors.New("longer than the URL of a release may be")
	}
	return nil
}

// below reports whether a URL is the prefix or lies below it. It compares
// bytes: scheme, host and port are those of the prefix, and there is no room
// for a user. The path contains nothing that a browser or a server could take
// for a step upwards.
func below(url, prefix string) bool {
	rest, ok := strings.CutPrefix(url, prefix)
	if !ok || prefix == "" {
		return false
	}
	if rest != "" && prefix[len(prefix)-1] != '/' && strings.IndexByte("/?#", rest[0]) < 0 {
		return false // as https://example.org.evil is not below https://example.org
	}
	return isPlain(rest)
}

const (
	alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	hostBytes    = alphanumeric + ".-:[]"
	// urlBytes may stand in a URL after its host (RFC 3986), apart from escapes.
	urlBytes = alphanumeric + "-._~:/?#@!$&'()*+,;="
)

func isAlphanumeric(c byte) bool { return strings.IndexByte(alphanumeric, c) >= 0 }

// isPlain reports whether the part of a URL after its host, or the end of that,
// has no segment . or .., and no escape that could stand for one, for a
// separator or for another escape.
func isPlain(text string) bool {
	path := text
	if i := strings.IndexAny(text, "?#"); i >= 0 {
		path = text[:i]
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			if strings.IndexByte(urlBytes, text[i]) < 0 {
				return false
			}
			continue
		}
		if i+2 >= len(text) {
			return false
		}
		high, low := strings.IndexByte(hexDigits, text[i+1]|0x20), strings.IndexByte(hexDigits, text[i+2]|0x20)
		if high < 0 || low < 0 {
			return false
		}
		if c := byte(high<<4 | low); c < ' ' || strings.IndexByte(`./\%`, c) >= 0 || c == 0x7f {
			return false
		}
		i += 2
	}
	return true
}

const hexDigits = "0123456789abcdef"
