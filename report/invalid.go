package report

import "slices"

// A Code says in one stable word why a report is refused. Receivers count by it and answer with it.
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
	// CodeWrongType says that a field is of another JSON type, null included, or a number or time of another form.
	CodeWrongType Code = "wrong_type"
	// CodeMissing says that a field which has to be there is absent or empty.
	CodeMissing Code = "missing"
	// CodeDuplicate says that a known key, a fact or a group is there twice.
	CodeDuplicate Code = "duplicate"
	// CodeOutOfBounds says that a value breaks the bound of its field.
	CodeOutOfBounds Code = "out_of_bounds"
	// CodeUnknownSchema says that the schema is not a version: less than 1, or absurdly large.
	CodeUnknownSchema Code = "unknown_schema"
)

var codes = []Code{
	CodeTooLarge, CodeBadUTF8, CodeTooDeep, CodeNotJSON, CodeWrongType, CodeMissing, CodeDuplicate, CodeOutOfBounds,
	CodeUnknownSchema,
}

// Codes lists all codes, for a receiver whose counters exist before anything was refused. The caller owns the slice.
func Codes() []Code { return slices.Clone(codes) }

// An InvalidError says why a report is refused. It holds nothing that the sender wrote.
type InvalidError struct {
	// Field is the name of the field as in [Fields] or [HealthFields], or of the object around such fields; "" is the
	// report as a whole.
	Field string
	// Reason is one of [Codes].
	Reason Code

	bound string // what the field could have been; may be empty
}

// Error names the field, the reason, and the bound of the field if that is what was broken.
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

// in gives the error of a field as one of the object or list that it is in.
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
