package report

import (
	"cmp"
	"strings"
)

// A semVer is a version of semver.org 2.0.0 without its build metadata.
type semVer struct{ numbers, pre string }

// parseSemVer accepts fewer than three numbers, as many tools do.
func parseSemVer(version string) (semVer, bool) {
	version, build, hasBuild := strings.Cut(version, "+")
	numbers, pre, hasPre := strings.Cut(version, "-")
	valid := strings.Count(numbers, ".") < 3 && (!hasPre || semVerParts(pre, true)) && (!hasBuild || semVerParts(build, false))
	for number := range strings.SplitSeq(numbers, ".") {
		valid = valid && all(number, isDigit) && semVerNumber(number)
	}
	return semVer{numbers, pre}, valid
}

func semVerParts(text string, noLeadingZeros bool) bool {
	for part := range strings.SplitSeq(text, ".") {
		if part == "" || !all(part, func(c byte) bool { return c == '-' || letterOrDigit(c) }) ||
			noLeadingZeros && all(part, isDigit) && !semVerNumber(part) {
			return false
		}
	}
	return true
}

func semVerNumber(digits string) bool { return digits == "0" || digits != "" && digits[0] != '0' }

// compare implements item 11 of the specification.
func (v semVer) compare(other semVer) int {
	if c := compareNumbers(v.numbers, other.numbers); c != 0 {
		return c
	}
	a, b := v.pre, other.pre
	if a == "" || b == "" {
		return cmp.Compare(len(b), len(a)) // the release is newer
	}
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		xNumber, yNumber := all(x, isDigit), all(y, isDigit)
		c := 0
		switch {
		case xNumber && yNumber:
			c = compareNumber(x, y)
		case xNumber:
			c = -1
		case yNumber:
			c = 1
		default:
			c = cmp.Compare(x, y)
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b)) // one of them is empty
}

// A pep440 is a version of PEP 440. Its parts hold what comes after the
// numbers, each with a class by which it compares first.
type pep440 struct {
	epoch, numbers string
	pre, post, dev pep440Part
	local          string
	hasLocal       bool
}

type pep440Part struct {
	class  int
	number string
}

// The classes of a part that is missing, and of one that exists. Those of a
// pre-release are between the two.
const (
	pep440First = -10
	pep440Some  = 1
	pep440Last  = 10
)

func parsePEP440(version string) (v pep440, valid bool) {
	version, v.local, v.hasLocal = strings.Cut(version, "+")
	v.epoch, version = splitEpoch(version)
	v.numbers, version = splitNumbers(version)
	hasPre, hasPost, hasDev := false, false, false
	if number, rest, ok := cutPEP440(version, "alpha", "a"); ok {
		v.pre, version, hasPre = pep440Part{1, number}, rest, true
	} else if number, rest, ok := cutPEP440(version, "beta", "b"); ok {
		v.pre, version, hasPre = pep440Part{2, number}, rest, true
	} else if number, rest, ok := cutPEP440(version, "preview", "pre", "rc", "c"); ok {
		v.pre, version, hasPre = pep440Part{3, number}, rest, true
	}
	if number, rest, ok := cutPEP440(version, "post", "rev", "r"); ok {
		v.post, version, hasPost = pep440Part{pep440Some, number}, rest, true
	} else if n := runLength(strings.TrimPrefix(version, "-"), isDigit); n > 0 && version[0] == '-' {
		v.post, version, hasPost = pep440Part{pep440Some, version[1 : n+1]}, version[n+1:], true
	}
	if number, rest, ok := cutPEP440(version, "dev"); ok {
		v.dev, version, hasDev = pep440Part{pep440Some, number}, rest, true
	}
	switch { // a missing part
	case !hasPre && !hasPost && hasDev:
		v.pre.class = pep440First // 1.0.dev1 < 1.0a1
	case !hasPre:
		v.pre.class = pep440Last
	}
	if !hasPost {
		v.post.class = pep440First
	}
	if !hasDev {
		v.dev.class = pep440Last
	}
	return v, v.numbers != "" && version == "" && (!v.hasLocal || validPEP440Local(v.local))
}

// cutPEP440 cuts off one of the words, and the number after it, with the
// separators that PEP 440 allows.
func cutPEP440(text string, words ...string) (number, rest string, ok bool) {
	start := 0
	if text != "" && isPEP440Separator(text[0]) {
		start = 1
	}
	for _, word := range words {
		if end := start + len(word); len(text) >= end && strings.EqualFold(text[start:end], word) {
			rest = text[end:]
			if rest != "" && isPEP440Separator(rest[0]) && len(rest) > 1 && isDigit(rest[1]) {
				rest = rest[1:]
			}
			n := runLength(rest, isDigit)
			return rest[:n], rest[n:], true
		}
	}
	return "", text, false
}

func isPEP440Separator(c byte) bool { return c == '.' || c == '-' || c == '_' }

func validPEP440Local(local string) bool {
	return local != "" && letterOrDigit(local[0]) && letterOrDigit(local[len(local)-1]) &&
		all(local, func(c byte) bool { return isPEP440Separator(c) || letterOrDigit(c) })
}

func (v pep440) compare(other pep440) int {
	return cmp.Or(
		compareNumber(v.epoch, other.epoch), compareNumbers(v.numbers, other.numbers),
		v.pre.compare(other.pre), v.post.compare(other.post), v.dev.compare(other.dev), v.compareLocal(other),
	)
}

func (p pep440Part) compare(other pep440Part) int {
	return cmp.Or(cmp.Compare(p.class, other.class), compareNumber(p.number, other.number))
}

// compareLocal compares the parts after a +: numbers are newer than texts, and
// the longer of two lists is newer.
func (v pep440) compareLocal(other pep440) int {
	a, b := v.local, other.local
	for a != "" && b != "" {
		var x, y string
		x, a = cutLocal(a)
		y, b = cutLocal(b)
		xNumber, yNumber := all(x, isDigit), all(y, isDigit)
		c := 0
		switch {
		case xNumber && yNumber:
			c = compareNumber(x, y)
		case xNumber:
			c = 1
		case yNumber:
			c = -1
		default:
			c = compareFold(x, y)
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func cutLocal(text string) (part, rest string) {
	n := runLength(text, func(c byte) bool { return !isPEP440Separator(c) })
	return text[:n], strings.TrimLeft(text[n:], "._-")
}

// compareDebian implements deb-version(7). It accepts every text.
func compareDebian(a, b string) int {
	aEpoch, a := splitDebianEpoch(a)
	bEpoch, b := splitDebianEpoch(b)
	aUpstream, aRevision := splitDebianRevision(a)
	bUpstream, bRevision := splitDebianRevision(b)
	return cmp.Or(
		compareNumber(aEpoch, bEpoch), compareDebianPart(aUpstream, bUpstream), compareDebianPart(aRevision, bRevision),
	)
}

func splitDebianEpoch(version string) (epoch, rest string) {
	epoch, rest, ok := strings.Cut(version, ":")
	if !ok || !all(epoch, isDigit) {
		return "", version
	}
	return epoch, rest
}

func splitDebianRevision(version string) (upstream, revision string) {
	if i := strings.LastIndexByte(version, '-'); i >= 0 {
		return version[:i], version[i+1:]
	}
	return version, ""
}

// compareDebianPart compares what is not digits and what is by turns.
func compareDebianPart(a, b string) int {
	notDigit := func(c byte) bool { return !isDigit(c) }
	for a != "" || b != "" {
		n, m := runLength(a, notDigit), runLength(b, notDigit)
		if c := compareDebianText(a[:n], b[:m]); c != 0 {
			return c
		}
		a, b = a[n:], b[m:]
		n, m = runLength(a, isDigit), runLength(b, isDigit)
		if c := compareNumber(a[:n], b[:m]); c != 0 {
			return c
		}
		a, b = a[n:], b[m:]
	}
	return 0
}

// compareDebianText orders a tilde before the end, the end before letters, and
// letters before everything else.
func compareDebianText(a, b string) int {
	weight := func(text string, i int) int {
		switch {
		case i >= len(text):
			return 0
		case text[i] == '~':
			return -1
		case letterOrDigit(text[i]):
			return int(text[i])
		}
		return int(text[i]) + 256
	}
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
			return c
		}
	}
	return 0
}
