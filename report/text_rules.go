package report

import (
	"fmt"
	"slices"
	"strings"
)

// A rule says which texts a field can have, apart from the empty one, which
// stands for none.
type rule struct {
	max    int                    // the most bytes
	of     string                 // what is allowed, for people; "" with values
	ok     func(text string) bool // nil with values
	values []string               // if not nil, the only ones allowed
}

var (
	appRule         = rule{max: MaxAppLen, of: "a-z, 0-9 and -", ok: ValidApp}
	idRule          = rule{max: idLen, of: "a UUID in lower case, neither nil nor all ones", ok: ValidID}
	persistenceRule = rule{values: []string{string(Persisted), string(InMemory)}}
	versionRule     = rule{max: MaxVersionLen, of: "printable ASCII, without v before a number", ok: validVersion}
	platformRule    = rule{max: maxPlatformLen, of: "letters, digits and . _ + ~ -", ok: ValidPlatform}
	deploymentRule  = rule{values: []string{
		string(DeploymentBare), string(DeploymentContainer), string(DeploymentKubernetes), string(DeploymentVM),
		string(DeploymentUnknown),
	}}
	codeRule     = rule{max: MaxCodeLen, of: "a-z, 0-9 and . _ -", ok: ValidCode}
	severityRule = rule{values: []string{
		string(SeverityInfo), string(SeverityWarning), string(SeverityError), string(SeverityCritical),
	}}
)

func (r rule) bound() string {
	if r.values != nil {
		return "one of " + strings.Join(r.values, ", ")
	}
	return fmt.Sprintf("%s; at most %d characters", r.of, r.max)
}

func (r rule) allows(text string) bool {
	if r.values != nil {
		return slices.Contains(r.values, text)
	}
	return r.ok(text)
}

// ValidApp reports whether text can be the key of an app: 1 to [MaxAppLen]
// characters of a-z, 0-9 and '-'.
func ValidApp(text string) bool {
	return lengthIn(text, MaxAppLen) && all(text, func(c byte) bool { return lowerOrDigit(c) || c == '-' })
}

// ValidCode reports whether text is a code: 1 to [MaxCodeLen] characters of
// a-z, 0-9, '.', '_' and '-', the first one a letter or a digit.
func ValidCode(text string) bool { return isCode(text, MaxCodeLen) }

// ValidName reports whether text can name a fact or an entry of context: 1 to
// [MaxNameLen] characters of a-z, 0-9, '.' and '_', the first one a letter.
func ValidName(text string) bool {
	return lengthIn(text, MaxNameLen) && 'a' <= text[0] && text[0] <= 'z' &&
		all(text, func(c byte) bool { return lowerOrDigit(c) || c == '.' || c == '_' })
}

// ValidPlatform reports whether text can be a field of [Platform]: 1 to 64
// letters and digits of ASCII, '.', '_', '+', '~' and '-', the first one a
// letter or a digit. Clients leave out other texts.
func ValidPlatform(text string) bool {
	return lengthIn(text, maxPlatformLen) && letterOrDigit(text[0]) &&
		all(text, func(c byte) bool { return letterOrDigit(c) || strings.IndexByte("._+~-", c) >= 0 })
}

const idLen = 36

// ValidID reports whether text is a UUID in canonical form (RFC 9562, section
// 4), in lower case, and neither of the two that stand for none. Receivers do
// not fold the case: two spellings must not become two installations.
func ValidID(text string) bool {
	if len(text) != idLen {
		return false
	}
	same := true // all digits are like the first
	for i := range len(text) {
		c := text[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isDigit(c) && (c < 'a' || c > 'f') {
				return false
			}
			same = same && c == text[0]
		}
	}
	return !same || text[0] != '0' && text[0] != 'f'
}

func isCode(text string, most int) bool {
	return lengthIn(text, most) && lowerOrDigit(text[0]) &&
		all(text, func(c byte) bool { return lowerOrDigit(c) || c == '.' || c == '_' || c == '-' })
}

func lengthIn(text string, most int) bool { return 1 <= len(text) && len(text) <= most }

func all(text string, ok func(c byte) bool) bool {
	for i := range len(text) {
		if !ok(text[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool      { return '0' <= c && c <= '9' }
func lowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || isDigit(c) }

func letterOrDigit(c byte) bool { return lowerOrDigit(c) || 'A' <= c && c <= 'Z' }
