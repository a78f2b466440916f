package report

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Fact is one value of a heartbeat as a host declares it. Make it with
// [BoolFact], [EnumFact] or [BucketFact]; there is no fact of free text.
// [Declare] checks it.
type Fact struct {
	// Name is the key that the value is sent under. See [ValidName].
	Name string
	// Reason tells operators why it is sent, in one line of 1 to 200
	// characters.
	Reason string
	// Since is the version of the host's declaration that added the fact; 0
	// means 1. A host that adds facts later gives them a higher version than
	// any before. They are withheld until the operator agrees again.
	Since int

	kind   factKind
	values []string // that can be sent, in the order of their declaration
	bounds []int64  // of a bucketed fact
}

// A factKind says how the value of a host becomes one of a fact.
type factKind int

const (
	noKind factKind = iota
	boolean
	enumeration
	bucketed
)

const (
	maxReasonLen  = 200 // characters, which need not be ASCII
	maxEnumValues = 32
	maxBounds     = 32
	// maxBound has 15 digits, so that every name of a bucket fits into
	// MaxFactValueLen.
	maxBound = 999_999_999_999_999
)

// BoolFact returns a fact that is true or false.
func BoolFact(name, reason string) Fact {
	return Fact{Name: name, Reason: reason, kind: boolean, values: []string{textFalse, textTrue}}
}

// EnumFact returns a fact that is one of 1 to 32 different values. Each is a
// code ([ValidCode]) of at most 32 characters, other than "true" and "false".
func EnumFact(name, reason string, values ...string) Fact {
	return Fact{Name: name, Reason: reason, kind: enumeration, values: slices.Clone(values)}
}

// BucketFact returns a fact of a number. Only the range that the number lies
// in is sent. Bounds are where one range ends and the next begins: 1 to 32
// numbers from 0 to 999,999,999,999,999, in ascending order. The bounds 1, 10
// and 100 make the ranges <1, 1-9, 10-99 and >=100.
func BucketFact(name, reason string, bounds ...int64) Fact {
	f := Fact{Name: name, Reason: reason, kind: bucketed, bounds: slices.Clone(bounds)}
	if n := len(bounds); n > 0 {
		f.values = append(f.values, "<"+strconv.FormatInt(bounds[0], 10))
		for i := 1; i < n; i++ {
			f.values = append(f.values, fmt.Sprintf("%d-%d", bounds[i-1], bounds[i]-1))
		}
		f.values = append(f.values, ">="+strconv.FormatInt(bounds[n-1], 10))
	}
	return f
}

// AddedIn returns the fact with another Since.
func (f Fact) AddedIn(version int) Fact {
	f.Since = version
	return f
}

// Values returns all values that can be sent, in the order of their
// declaration. The caller owns the slice.
func (f Fact) Values() []string { return slices.Clone(f.values) }

func (f Fact) describe() (kind, bound string) {
	if f.kind == boolean {
		return typeBool, textTrue + " or " + textFalse
	}
	return typeText, "one of " + strings.Join(f.values, ", ")
}

func (f Fact) check() error {
	switch n := utf8.RuneCountInString(f.Reason); {
	case !ValidName(f.Name):
		return fmt.Errorf("the name is not 1 to %d characters of a-z, 0-9, . and _, a letter first", MaxNameLen)
	case !isReason(f.Reason):
		return errors.New("the reason is not a line of text for operators")
	case n > maxReasonLen:
		return fmt.Errorf("the reason has %d characters, more than %d", n, maxReasonLen)
	case f.Since < 0:
		return errors.New("since is negative")
	case f.kind == noKind:
		return errors.New("neither BoolFact, EnumFact nor BucketFact made it")
	case f.kind == enumeration:
		return f.checkValues()
	case f.kind == bucketed:
		return f.checkBounds()
	}
	return nil
}

// isReason reports whether text can be printed on a line and is not blank.
func isReason(text string) bool {
	blank := true
	for _, c := range text {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return false
		}
		blank = blank && c == ' '
	}
	return !blank
}

func (f Fact) checkValues() error {
	if n := len(f.values); n < 1 || n > maxEnumValues {
		return fmt.Errorf("%d values, not 1 to %d", n, maxEnumValues)
	}
	for i, value := range f.values {
		switch {
		case !isCode(value, MaxFactValueLen):
			return fmt.Errorf("value %q is not 1 to %d characters of a-z, 0-9, . _ and -, a letter or digit first", value, MaxFactValueLen)
		case isBoolean(value):
			return fmt.Errorf("value %q belongs to a boolean fact", value)
		case slices.Contains(f.values[:i], value):
			return fmt.Errorf("value %q is there twice", value)
		}
	}
	return nil
}

func (f Fact) checkBounds() error {
	if n := len(f.bounds); n < 1 || n > maxBounds {
		return fmt.Errorf("%d bounds, not 1 to %d", n, maxBounds)
	}
	for i, bound := range f.bounds {
		switch {
		case bound < 0 || bound > maxBound:
			return fmt.Errorf("bound %d is not from 0 to %d", bound, int64(maxBound))
		case i > 0 && bound <= f.bounds[i-1]:
			return fmt.Errorf("bound %d is not larger than the one before", bound)
		}
	}
	return nil
}

// Accept returns why a report leaves out a value of the host; nil if it is
// sent. The error does not quote the value, which may be private.
func (f Fact) Accept(value any) error {
	if f.index(value) >= 0 {
		return nil
	}
	kind := fmt.Sprintf("a value of type %T", value)
	if value == nil {
		kind = "nil"
	}
	switch f.kind {
	case boolean:
		return fmt.Errorf("%s is not a bool", kind)
	case enumeration:
		if reflect.ValueOf(value).Kind() == reflect.String {
			kind = "the text"
		}
		return fmt.Errorf("%s is not one of the declared values: %s", kind, strings.Join(f.values, ", "))
	}
	if v := reflect.ValueOf(value); v.CanFloat() {
		return errors.New("the number is infinite, or not a number")
	}
	return fmt.Errorf("%s is not a number", kind)
}

// index returns which of values stands for a value of the host, or -1.
func (f *Fact) index(value any) int {
	v := reflect.ValueOf(value)
	switch {
	case f.kind == boolean && v.Kind() == reflect.Bool:
		if v.Bool() {
			return 1
		}
		return 0
	case f.kind == enumeration && v.Kind() == reflect.String:
		return slices.Index(f.values, v.String())
	case f.kind == bucketed:
		if n, ok := whole(v); ok {
			at, found := slices.BinarySearch(f.bounds, n)
			if found {
				at++
			}
			return at
		}
	}
	return -1
}

// whole returns a number of any type, rounded down. One that does not fit
// becomes another on the same side of all bounds. An infinite number, or one
// that is not a number, has no bucket.
func whole(v reflect.Value) (int64, bool) {
	switch {
	case v.CanInt():
		return v.Int(), true
	case v.CanUint():
		return int64(min(v.Uint(), math.MaxInt64)), true
	case v.CanFloat() && !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0):
		return int64(math.Floor(max(-1, min(v.Float(), maxBound)))), true
	}
	return 0, false
}
