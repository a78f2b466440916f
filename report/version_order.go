package report

import (
	"cmp"
	"fmt"
	"strings"
)

// A VersionOrder says which of two versions is newer. The zero value is
// [NaturalOrder].
type VersionOrder string

// The orders of versions.
const (
	// NaturalOrder orders the versions of every scheme as their authors mean
	// them; see [CompareVersions].
	NaturalOrder VersionOrder = "natural"
	// SemVerOrder is the precedence of semver.org 2.0.0. A version may have
	// fewer than three numbers.
	SemVerOrder VersionOrder = "semver"
	// PEP440Order is the order of Python packages: PEP 440, now the Version
	// Specifiers of packaging.python.org.
	PEP440Order VersionOrder = "pep440"
	// DebianOrder is the order of deb-version(7).
	DebianOrder VersionOrder = "debian"
)

// VersionOrders returns all orders, the default first.
func VersionOrders() []VersionOrder {
	return []VersionOrder{NaturalOrder, SemVerOrder, PEP440Order, DebianOrder}
}

// ParseVersionOrder returns the order of that name. An empty name is that of
// NaturalOrder.
func ParseVersionOrder(name string) (VersionOrder, error) {
	for _, order := range VersionOrders() {
		if name == string(order) {
			return order, nil
		}
	}
	if name == "" {
		return NaturalOrder, nil
	}
	return "", fmt.Errorf("version order %q: not one of %v", name, VersionOrders())
}

// Compare returns a negative number if version a is older than b, a positive
// one if it is newer, and 0 if neither. Versions that the scheme does not allow
// are older than all others and have the natural order among themselves, as
// have all versions if the order is unknown.
func (o VersionOrder) Compare(a, b string) int {
	a, b = NormalizeVersion(a), NormalizeVersion(b)
	switch o {
	case SemVerOrder:
		return compareParsed(a, b, parseSemVer, semVer.compare)
	case PEP440Order:
		return compareParsed(a, b, parsePEP440, pep440.compare)
	case DebianOrder:
		return compareDebian(a, b)
	default:
		return compareNatural(a, b)
	}
}

// IsPreRelease reports whether a version is older than the release that it
// leads to, which is what its numbers name.
func (o VersionOrder) IsPreRelease(version string) bool {
	version = NormalizeVersion(version)
	_, rest := splitEpoch(version)
	_, suffix := splitNumbers(rest)
	release := version[:len(version)-len(suffix)]
	return release != "" && suffix != "" && o.Compare(version, release) < 0
}

func compareParsed[T any](a, b string, parse func(string) (T, bool), compare func(x, y T) int) int {
	x, xValid := parse(a)
	y, yValid := parse(b)
	switch {
	case xValid && yValid:
		return compare(x, y)
	case xValid:
		return 1
	case yValid:
		return -1
	}
	return compareNatural(a, b)
}

// CompareVersions returns a negative number if version a is older than b, a
// positive one if it is newer, and 0 if neither. It does not allocate for
// normalized versions.
//
// A version is a list of numbers with dots between them, of any length and
// size; 1.2 and 1.2.0 are equal. A number before ! or : is an epoch and comes
// first. The text after the numbers is split into words and numbers; other
// characters and case do not matter. The first difference decides:
//
//   - Words of pre-releases are older than the end of the text, so that
//     2.0-rc.1 < 2.0. In ascending order, they are dev (devel, development),
//     unstable, experimental, canary, nightly, daily, edge, insider
//     (insiders), ea (eap), next, alpha (a), beta (b), milestone (m), pre
//     (preview), rc (c, cr, candidate), snapshot. The single letters count
//     only before a number: 1.1a1 is an alpha version, and 1.1a a patch of 1.1.
//   - Numbers and then other words are newer: 2.0 < 2.0-1ubuntu2 < 2.0-post1.
//     Numbers compare by value, words by their lower-case bytes.
//   - Anything after a ~ is older than the end, as in Debian, and so is a
//     pseudo-version of Go such as 1.2.1-0.20260131235959-0123456789ab.
//   - final, ga, release and stable, and everything after a +, do not count.
//   - Seven or more hexadecimal digits, as of a commit, are one word.
//
// A text that does not begin with a number is older than every version.
//
// This differs from SemVer in pre-releases that are none of those words
// (1.0.0-ls5, 1.0.0-1), continue with one (1.0.0-alpha.beta), or have another
// order there (nightly before beta); from PEP 440 in 1.0a, pre as another word
// for rc, post-releases that are not called post, and what follows a +; from
// Debian in pre-releases without a ~, 1.0~git1 against 1.0.0~git1, words after a
// revision, and what follows a +. A [VersionOrder] has the rules of each.
func CompareVersions(a, b string) int {
	return compareNatural(NormalizeVersion(a), NormalizeVersion(b))
}

func compareNatural(a, b string) int {
	a, _, _ = strings.Cut(a, "+")
	b, _, _ = strings.Cut(b, "+")
	aEpoch, a := splitEpoch(a)
	bEpoch, b := splitEpoch(b)
	aNumbers, aRest := splitNumbers(a)
	bNumbers, bRest := splitNumbers(b)
	if (aNumbers == "") != (bNumbers == "") {
		return cmp.Compare(len(aNumbers), len(bNumbers))
	}
	if c := cmp.Or(compareNumber(aEpoch, bEpoch), compareNumbers(aNumbers, bNumbers)); c != 0 {
		return c
	}
	x, aRest := firstPart(aRest)
	y, bRest := firstPart(bRest)
	for x.class != endOfVersion || y.class != endOfVersion {
		if c := x.compare(y); c != 0 {
			return c
		}
		x, aRest = nextPart(aRest)
		y, bRest = nextPart(bRest)
	}
	return 0
}

// splitEpoch returns the digits before a ! or : that a digit follows.
func splitEpoch(version string) (epoch, rest string) {
	i := strings.IndexFunc(version, func(c rune) bool { return c < '0' || c > '9' })
	if i > 0 && i+1 < len(version) && (version[i] == '!' || version[i] == ':') && isDigit(version[i+1]) {
		return version[:i], version[i+1:]
	}
	return "", version
}

// splitNumbers returns the leading numbers with the dots between them, and the
// rest.
func splitNumbers(version string) (numbers, rest string) {
	end := 0
	for i := 0; i < len(version) && isDigit(version[i]); i++ {
		for i < len(version) && isDigit(version[i]) {
			i++
		}
		end = i // a dot counts if a digit follows it
		if i == len(version) || version[i] != '.' {
			break
		}
	}
	return version[:end], version[end:]
}

// compareNumbers compares lists of numbers; missing ones are 0.
func compareNumbers(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareNumber(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// compareNumber compares texts of digits of any length. An empty one is 0.
func compareNumber(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// A versionPart is a word or a number after the numbers of a version. The zero
// value is the end.
type versionPart struct {
	// class orders parts of different kinds.
	class partClass
	text  string
}

type partClass int

const (
	tildeNumber partClass = iota - 1000
	tildeWord
	preReleases            // and up to the end: preReleases + rank of the word
	endOfVersion partClass = 0
)

const (
	numberPart partClass = iota + 1
	wordPart
)

func (p versionPart) compare(other versionPart) int {
	if c := cmp.Compare(p.class, other.class); c != 0 {
		return c
	}
	switch p.class {
	case numberPart, tildeNumber:
		return compareNumber(p.text, other.text)
	case wordPart, tildeWord:
		return compareFold(p.text, other.text)
	}
	return 0
}

// firstPart is nextPart for the text right after the numbers of a version.
// There, a pseudo-version of Go is older than the release whose numbers it has.
func firstPart(text string) (versionPart, string) {
	const date, hash = len("20060102150405"), len("0123456789ab")
	if rest, ok := strings.CutPrefix(text, "-0."); ok && len(rest) == date+1+hash && all(rest[:date], isDigit) &&
		rest[date] == '-' && all(rest[date+1:], isHex) {
		return versionPart{tildeNumber, rest[:date]}, rest[date:]
	}
	return nextPart(text)
}

// nextPart returns the first part of a text, and what follows it.
func nextPart(text string) (versionPart, string) {
	tilde := false
	for text != "" && !letterOrDigit(text[0]) {
		tilde = tilde || text[0] == '~'
		text = text[1:]
	}
	if text == "" {
		return versionPart{}, ""
	}
	class, same := wordPart, isLetter
	if isDigit(text[0]) {
		class, same = numberPart, isDigit
	}
	end := runLength(text, same)
	if n := commitLength(text); n > 0 {
		class, end = wordPart, n
	}
	part, rest := text[:end], text[end:]
	if class == wordPart {
		beforeNumber := strings.TrimPrefix(rest, ".")
		switch rank := rankOf(part, beforeNumber != "" && isDigit(beforeNumber[0])); {
		case rank == emptyRank && !tilde:
			return nextPart(rest)
		case rank > 0:
			return versionPart{class: preReleases + partClass(rank)}, rest
		}
	}
	switch {
	case tilde && class == numberPart:
		class = tildeNumber
	case tilde:
		class = tildeWord
	}
	return versionPart{class, part}, rest
}

// preReleaseWords are in ascending order; words in one entry are equal. Single
// letters count only before a number.
var preReleaseWords = [...]string{
	" dev devel development ", " unstable ", " experimental ", " canary ", " nightly ", " daily ", " edge ", " insider insiders ",
	" ea eap ", " next ", " a alpha ", " b beta ", " m milestone ", " pre preview ", " c rc cr candidate ", " snapshot ",
}

// emptyRank is the rank of words that do not count.
const emptyRank = -1

// rankOf returns the rank of a word among those of pre-releases, from 1, or 0.
func rankOf(word string, beforeNumber bool) int {
	var buffer [16]byte
	if len(word) > len("development") || len(word) == 1 && !beforeNumber {
		return 0
	}
	lower := append(buffer[:0], ' ')
	for i := range len(word) {
		lower = append(lower, word[i]|0x20)
	}
	lower = append(lower, ' ')
	for i, words := range preReleaseWords {
		if strings.Contains(words, string(lower)) {
			return i + 1
		}
	}
	if strings.Contains(" final ga release stable ", string(lower)) {
		return emptyRank
	}
	return 0
}

// commitLength returns the length of what looks like the hash of a commit at
// the beginning of text: seven or more hexadecimal digits in which letters and
// numbers alternate more than once, so that a date after an a is none.
func commitLength(text string) int {
	n := runLength(text, letterOrDigit)
	if n < 7 {
		return 0
	}
	changes := 0
	for i := range n {
		if !isHex(text[i]) {
			return 0
		}
		if i > 0 && isDigit(text[i]) != isDigit(text[i-1]) {
			changes++
		}
	}
	if changes < 2 {
		return 0
	}
	return n
}

func runLength(text string, in func(byte) bool) (n int) {
	for n < len(text) && in(text[n]) {
		n++
	}
	return n
}

// compareFold compares texts by their lower-case bytes.
func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if c := cmp.Compare(a[i]|0x20, b[i]|0x20); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func isLetter(c byte) bool { return letterOrDigit(c) && !isDigit(c) }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
