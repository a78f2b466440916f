package report

import (
	"strings"
	"time"
)

// The limits of the releases that a collector publishes.
const (
	// MaxReleasesBytes bounds the answer to a request for releases.
	MaxReleasesBytes = 64 << 10
	// MaxReleases bounds the releases of a channel.
	MaxReleases = 50
	// MaxReleaseURLLen bounds the URL of a release, in bytes.
	MaxReleaseURLLen = 256
	// MaxChannelLen bounds the name of a channel. See [ValidChannel].
	MaxChannelLen = 64
)

// StableChannel is the channel of the releases that everyone is meant to run.
const StableChannel = "stable"

// A ReleaseSeverity says how much an installation needs a release.
type ReleaseSeverity string

// The severities of releases.
const (
	ReleaseOrdinary    ReleaseSeverity = ""
	ReleaseRecommended ReleaseSeverity = "recommended"
	ReleaseSecurity    ReleaseSeverity = "security" // earlier versions have a known weakness
)

// A Release is a published version.
type Release struct {
	// Version is valid: see [ValidRelease].
	Version string
	// URL is as published; empty if there is none. Only its length is checked.
	URL string
	// Date is the day it came out, in UTC; zero is unknown.
	Date     time.Time
	Severity ReleaseSeverity
}

// Releases are those of a channel, at most [MaxReleases].
type Releases struct {
	// Order says which of the versions is newer.
	Order VersionOrder
	List  []Release
}

// ValidRelease reports whether text names a release: a normalized version of 1
// to [MaxVersionLen] letters, digits and . + ~ : ! _ -, which begins with a
// letter or a digit, and has a digit. A program shows it to people, and a text
// of several words could tell them something else.
func ValidRelease(text string) bool {
	return lengthIn(text, MaxVersionLen) && letterOrDigit(text[0]) && NormalizeVersion(text) == text &&
		strings.ContainsAny(text, "0123456789") &&
		all(text, func(c byte) bool { return letterOrDigit(c) || strings.IndexByte(".+~:!_-", c) >= 0 })
}

// ValidChannel reports whether text can name a channel: 1 to [MaxChannelLen]
// letters, digits and . _ / -, the first one a letter or a digit.
func ValidChannel(text string) bool {
	return lengthIn(text, MaxChannelLen) && letterOrDigit(text[0]) &&
		all(text, func(c byte) bool { return letterOrDigit(c) || strings.IndexByte("._/-", c) >= 0 })
}

const (
	releasesKey = "releases"
	orderKey    = "version_order"
)

// ParseReleases reads a collector's answer about a channel, of at most
// [MaxReleasesBytes]. It leaves out releases without a valid version, and any
// beyond MaxReleases. An unknown severity becomes [ReleaseOrdinary], an unknown
// order [NaturalOrder], and an invalid date or URL is left empty. Its errors are
// of type [*InvalidError].
func ParseReleases(data []byte) (Releases, error) {
	r, err := newReader(data, MaxReleasesBytes)
	if err == nil {
		var releases Releases
		if err = releases.parse(r); err == nil {
			return releases, nil
		}
	}
	return Releases{}, err
}

func (l *Releases) parse(r *reader) *InvalidError {
	l.Order = NaturalOrder
	if !r.enter('{') {
		return invalid(CodeWrongType)
	}
	found := false
	for r.more() {
		switch string(r.key()) {
		case orderKey:
			if order, err := ParseVersionOrder(r.textOrNothing()); err == nil {
				l.Order = order
			}
		case releasesKey:
			if found {
				return invalid(CodeDuplicate).in(releasesKey)
			}
			found = true
			if !r.enter('[') {
				return invalid(CodeWrongType).in(releasesKey)
			}
			for r.more() {
				if release := parseRelease(r); release.Version != "" && len(l.List) < MaxReleases {
					l.List = append(l.List, release)
				}
			}
		default:
			r.next()
		}
	}
	if !found {
		return invalid(CodeMissing).in(releasesKey)
	}
	return nil
}

// parseRelease reads an element of the list, which has no version if it is not
// a release.
func parseRelease(r *reader) (release Release) {
	if !r.enter('{') {
		r.next()
		return release
	}
	for r.more() {
		switch string(r.key()) {
		case "version":
			if release.Version = adoptVersion(r.textOrNothing()); !ValidRelease(release.Version) {
				release.Version = ""
			}
		case "url":
			if release.URL = r.textOrNothing(); len(release.URL) > MaxReleaseURLLen {
				release.URL = ""
			}
		case "date":
			if date, err := time.Parse(time.DateOnly, r.textOrNothing()); err == nil {
				release.Date = date
			}
		case "severity":
			release.Severity = ReleaseOrdinary
			switch s := ReleaseSeverity(r.textOrNothing()); s {
			case ReleaseRecommended, ReleaseSecurity:
				release.Severity = s
			}
		default:
			r.next()
		}
	}
	return release
}

// textOrNothing reads any value, and returns it if it is a text.
func (r *reader) textOrNothing() string {
	if text, ok := r.text(); ok {
		return string(text)
	}
	r.next()
	return ""
}
