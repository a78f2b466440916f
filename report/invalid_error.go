package report

import "slices"

// A Code says in one stable word why a report is refused. Receivers count by
// it and answer with it.
type Code string

// The codes; [Codes] lists them.
const (
	// CodeTooLarge says that the body is longer than its limit.
	CodeTooLarge Code = "too_large"
	// CodeBadUTF8 says that the body is not UTF-8.
	CodeBadUTF8 Code = "bad_utf8"
	// CodeTooDeep says that the body is nested deeper than MaxDepth.
	CodeTooDeep Code = "too_deep"
	// CodeNotJSON says that the body is not one JSON value.
	CodeNotJSON Code = "not_json"
	// CodeWrongType says that a field has another JSON type, null included, or
	// that a number or a time has another form.
	CodeWrongType Code = "wrong_type"
	// CodeMissing says that a required field is absent or empty.
	CodeMissing Code = "missing"
	// CodeDuplicate says that a known key, a fact or a fault is there twice.
	CodeDuplicate Code = "duplicate"
	// CodeOutOfBounds says that a value breaks the bound of its field.
	CodeOutOfBounds Code = "out_of_bounds"
	// CodeUnknownSchema says that the schema is less than 1, or absurdly large.
	CodeUnknownSchema Code = "unknown_schema"
)

var codes = []Code{
	CodeTooLarge, CodeBadUTF8, CodeTooDeep, CodeNotJSON, CodeWrongType, CodeMissing, CodeDuplicate, CodeOutOfBounds,
	CodeUnknownSchema,
}

// Codes returns all codes, for receivers that make their counters in advance.
// The caller owns the slice.
func Codes() []Code { return slices.Clone(codes) }

// An InvalidError says why a report is refused. It repeats nothing that the
// sender wrote.
type InvalidError struct {
	// Field is the name of a field in [Fields] or [HealthFields], or of an
	// object around such fields. Empty stands for the report as a whole.
	Field string
	// Reason is one of [Codes].
	Reason Code

	bound string // what the field can be; may be empty
}

// Error returns the field, the reason and, if a bound was broken, the bound.
func (e *InvalidError) Error() string {
	text := "invalid report: "
	if e.Field != "" {
		text += e.Field + ": "
	}
	text += string(e.Reason)
	if e.bound != "" {
		text += " (" + e.bound + ")"
	}
	return text
}

// in returns the error of a field as one of the object or list around it.
func (e *InvalidError) in(outer string) *InvalidError {
	switch {
	case e.Field == "" || e.Field[0] == '[':
		e.Field = outer + e.Field
	default:
		e.Field = outer + "." + e.Field
	}
	return e
}

func invalid(reason Code) *InvalidError { return &InvalidError{Reason: reason} }

func outOfBounds(bound string) *InvalidError {
	return &InvalidError{Reason: CodeOutOfBounds, bound: bound}
}
