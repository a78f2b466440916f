package report

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// A Fact is what a host declares before it can be sent: one value of a heartbeat, with its type, its bound and a reason.
// There is no fact of free text. The zero value is not valid.
type Fact struct {
	// Name is what it is sent under. Required; see [ValidName].
	Name string
	// Reason says to operators why it is sent: 1 to MaxReasonLen characters on one line.
	Reason string
	// Since is the version of the host's declaration that brought it; 0 is 1. A host that adds a fact later gives it a
	// higher version than those before, and it is withheld until the operator agrees again. See [Declaration.Until].
	Since int
	// Kind is a Boolean, an Enumeration or a Bucketed. Required.
	Kind Kind
}

// BoolFact is a fact that is true or false.
func BoolFact(name, reason string) Fact {
	return Fact{Name: name, Reason: reason, Kind: Boolean{}}
}

// EnumFact is a fact that is one of some values; see [Enumeration].
func EnumFact(name, reason string, values ...string) Fact {
	return Fact{Name: name, Reason: reason, Kind: Enumeration{Values: values}.clone()}
}

// BucketFact is a fact of a number, of which only the bucket is sent; see [Bucketed].
func BucketFact(name, reason string, bounds ...int64) Fact {
	return Fact{Name: name, Reason: reason, Kind: Bucketed{Bounds: bounds}.clone()}
}

// AddedIn gives the fact with another Since.
func (f Fact) AddedIn(version int) Fact {
	f.Since = version
	return f
}

func (f Fact) check() error {
	switch n := utf8.RuneCountInString(f.Reason); {
	case !ValidName(f.Name):
		return fmt.Errorf("the name has to be 1 to %d characters of a-z, 0-9, . and _, a letter first", MaxNameLen)
	case !isReason(f.Reason):
		return errors.New("the reason has to be a text on one line, for operators to read")
	case n > MaxReasonLen:
		return fmt.Errorf("the reason has %d characters, more than %d", n, MaxReasonLen)
	case f.Since < 0:
		return errors.New("since is negative")
	}
	switch f.Kind.(type) {
	case Boolean, Enumeration, Bucketed:
		return f.Kind.check()
	}
	return errors.New("the kind has to be a Boolean, an Enumeration or a Bucketed")
}

// isReason tells whether text can be printed on a line and shows something.
func isReason(text string) bool {
	shows := false
	for _, c := range text {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return false
		}
		shows = shows || c != ' '
	}
	return shows
}
