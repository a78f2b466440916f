package report

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// text is the codec of a field of characters.
type text[T any] struct {
	at   func(*T) *string
	rule *rule
}

func (c text[T]) describe() (string, string) { return typeText, c.rule.bound() }
func (c text[T]) empty(t *T) bool            { return *c.at(t) == "" }

func (c text[T]) append(dst []byte, t *T, _ int) []byte { return appendText(dst, *c.at(t)) }

func (c text[T]) check(t *T) *InvalidError {
	if !c.rule.allows(*c.at(t)) {
		return outOfBounds(c.rule.bound())
	}
	return nil
}

func (c text[T]) parse(r *reader, t *T) *InvalidError {
	value, ok := r.text()
	if !ok {
		return invalid(CodeWrongType)
	}
	for _, known := range c.rule.values {
		if known == string(value) {
			*c.at(t) = known
			return nil
		}
	}
	most := c.rule.max
	if c.rule.values != nil {
		most = MaxCodeLen
	}
	if len(value) > most {
		return outOfBounds(c.rule.bound())
	}
	*c.at(t) = string(value)
	return nil
}

// number is the codec of a whole number.
type number[T any] struct {
	at       func(*T) *int
	min, max int
	outside  Code // the reason if it is out of these bounds
}

func (c number[T]) describe() (string, string) {
	return typeNumber, fmt.Sprintf("%d to %d", c.min, c.max)
}

func (c number[T]) empty(*T) bool { return false }

func (c number[T]) append(dst []byte, t *T, _ int) []byte {
	return strconv.AppendInt(dst, int64(*c.at(t)), 10)
}

func (c number[T]) check(t *T) *InvalidError {
	if n := *c.at(t); n < c.min || n > c.max {
		return c.bad()
	}
	return nil
}

func (c number[T]) parse(r *reader, t *T) *InvalidError {
	literal, ok := r.number()
	if !ok {
		return invalid(CodeWrongType)
	}
	n, err := strconv.Atoi(string(literal))
	if err != nil { // too large for an int
		return c.bad()
	}
	*c.at(t) = n
	return nil
}

func (c number[T]) bad() *InvalidError {
	_, bound := c.describe()
	return &InvalidError{Reason: c.outside, bound: bound}
}

// moment is the codec of a time. It sends UTC in whole seconds, and accepts every
// form of RFC 3339.
type moment[T any] struct {
	at func(*T) *time.Time
}

const (
	timeFormat = "2006-01-02T15:04:05Z"
	timeBound  = "RFC 3339, sent in UTC and whole seconds, such as 2026-01-31T23:59:59Z; 1970 to 9999"
	// maxTimeLen leaves room for nanoseconds and an offset.
	maxTimeLen = len("2006-01-02T15:04:05.999999999+00:00")
)

func (c moment[T]) describe() (string, string) { return typeTime, timeBound }
func (c moment[T]) empty(t *T) bool            { return c.at(t).IsZero() }

func (c moment[T]) append(dst []byte, t *T, _ int) []byte {
	dst = append(dst, '"')
	dst = c.at(t).UTC().AppendFormat(dst, timeFormat)
	return append(dst, '"')
}

func (c moment[T]) check(t *T) *InvalidError {
	if year := c.at(t).UTC().Year(); year < 1970 || year > 9999 {
		return outOfBounds(timeBound)
	}
	return nil
}

func (c moment[T]) parse(r *reader, t *T) *InvalidError {
	value, ok := r.text()
	if !ok {
		return invalid(CodeWrongType)
	}
	if len(value) == 0 {
		return nil
	}
	if len(value) > maxTimeLen || bytes.IndexByte(value, ',') >= 0 { // package time reads a comma as a point
		return &InvalidError{Reason: CodeWrongType, bound: timeBound}
	}
	// Other languages print fractions, and +00:00 for Z. A report that is parsed
	// and marshalled again is the same as if its sender had used Go.
	parsed, err := time.Parse(time.RFC3339, string(value))
	if err != nil {
		return &InvalidError{Reason: CodeWrongType, bound: timeBound}
	}
	parsed = parsed.UTC().Truncate(time.Second)
	if parsed.IsZero() { // the first second of year 1, which stands for none
		return outOfBounds(timeBound)
	}
	*c.at(t) = parsed
	return nil
}

// object is the codec of a field that has fields, which are also fields of T.
// It is empty if all of them are.
type object[T any] specs[T]

func (c object[T]) describe() (string, string) { return "", "" }

func (c object[T]) empty(t *T) bool {
	for i := range c {
		if !c[i].codec.empty(t) {
			return false
		}
	}
	return true
}

func (c object[T]) append(dst []byte, t *T, schema int) []byte {
	return specs[T](c).append(dst, t, schema)
}

func (c object[T]) check(t *T) *InvalidError { return specs[T](c).check(t) }

func (c object[T]) parse(r *reader, t *T) *InvalidError { return specs[T](c).parse(r, t) }
