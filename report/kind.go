package report

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A Kind says which values a [Fact] can have. It is a [Boolean], an [Enumeration] or a [Bucketed], and nothing else.
type Kind interface {
	// Type is the type in the sense of [Field].
	Type() string
	// Bound says in words which values there can be.
	Bound() string
	// Choices gives all values that can be sent, in the order of their declaration. The caller owns the slice.
	Choices() []string

	check() error
	clone() Kind
	// index gives which of Choices stands for a value of the host, or -1.
	index(value any) int
}

// Boolean is the kind of a fact that is true or false.
type Boolean struct{}

// Enumeration is the kind of a fact that is one of some values.
type Enumeration struct {
	// Values are 1 to MaxEnumValues different codes ([ValidCode]) of at most MaxFactValueLen characters. "true" and
	// "false" cannot be among them: that is a [Boolean].
	Values []string
}

// Bucketed is the kind of a fact that is a number of which only the range is sent, never the number itself. The bounds 1,
// 10 and 100 make the buckets <1, 1-9, 10-99 and >=100.
type Bucketed struct {
	// Bounds are where a bucket ends and the next begins: 1 to MaxBounds numbers from 0 to MaxBound, each larger than
	// the one before.
	Bounds []int64
}

// Type implements [Kind].
func (Boolean) Type() string { return typeBool }

// Bound implements [Kind].
func (Boolean) Bound() string { return textTrue + " or " + textFalse }

// Choices implements [Kind].
func (Boolean) Choices() []string { return []string{textFalse, textTrue} }

func (Boolean) check() error  { return nil }
func (b Boolean) clone() Kind { return b }

func (Boolean) index(value any) int {
	v := reflect.ValueOf(value)
	switch {
	case v.Kind() != reflect.Bool:
		return -1
	case v.Bool():
		return 1
	}
	return 0
}

// Type implements [Kind].
func (Enumeration) Type() string { return typeText }

// Bound implements [Kind].
func (e Enumeration) Bound() string { return oneOf(e) }

// Choices implements [Kind].
func (e Enumeration) Choices() []string { return slices.Clone(e.Values) }

func (e Enumeration) check() error {
	if n := len(e.Values); n < 1 || n > MaxEnumValues {
		return fmt.Errorf("%d values, not 1 to %d", n, MaxEnumValues)
	}
	for i, value := range e.Values {
		switch {
		case !isCode(value, MaxFactValueLen):
			return fmt.Errorf("value %q has to be 1 to %d characters of a-z, 0-9, . _ and -, a letter or digit first",
				value, MaxFactValueLen)
		case isBoolean(value):
			return fmt.Errorf("value %q belongs to a boolean fact", value)
		case slices.Contains(e.Values[:i], value):
			return fmt.Errorf("value %q is there twice", value)
		}
	}
	return nil
}

func (e Enumeration) clone() Kind { return Enumeration{slices.Clone(e.Values)} }

func (e Enumeration) index(value any) int {
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.String {
		return -1
	}
	return slices.Index(e.Values, v.String())
}

// Type implements [Kind].
func (Bucketed) Type() string { return typeText }

// Bound implements [Kind].
func (b Bucketed) Bound() string { return oneOf(b) }

// Choices implements [Kind].
func (b Bucketed) Choices() []string {
	n := len(b.Bounds)
	if n == 0 {
		return nil
	}
	names := make([]string, 0, n+1)
	names = append(names, "<"+strconv.FormatInt(b.Bounds[0], 10))
	for i := 1; i < n; i++ {
		names = append(names, fmt.Sprintf("%d-%d", b.Bounds[i-1], b.Bounds[i]-1))
	}
	return append(names, ">="+strconv.FormatInt(b.Bounds[n-1], 10))
}

func (b Bucketed) check() error {
	if n := len(b.Bounds); n < 1 || n > MaxBounds {
		return fmt.Errorf("%d bounds, not 1 to %d", n, MaxBounds)
	}
	for i, bound := range b.Bounds {
		switch {
		case bound < 0 || bound > MaxBound:
			return fmt.Errorf("bound %d is not from 0 to %d", bound, int64(MaxBound))
		case i > 0 && bound <= b.Bounds[i-1]:
			return fmt.Errorf("bound %d is not larger than the one before", bound)
		}
	}
	return nil
}

func (b Bucketed) clone() Kind { return Bucketed{slices.Clone(b.Bounds)} }

func (b Bucketed) index(value any) int {
	n, ok := whole(value)
	if !ok {
		return -1
	}
	at, found := slices.BinarySearch(b.Bounds, n)
	if found {
		at++
	}
	return at
}

// whole gives a number of any type, rounded down. A number that does not fit becomes another one on the same side of all
// bounds. What is infinite or not a number has no bucket.
func whole(value any) (int64, bool) {
	v := reflect.ValueOf(value)
	switch {
	case v.CanInt():
		return v.Int(), true
	case v.CanUint():
		return int64(min(v.Uint(), math.MaxInt64)), true
	case v.CanFloat() && !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0):
		return int64(math.Floor(max(-1, min(v.Float(), MaxBound)))), true
	}
	return 0, false
}

func oneOf(k Kind) string { return "one of " + strings.Join(k.Choices(), ", ") }
