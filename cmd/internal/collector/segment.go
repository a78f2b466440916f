package collector

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/report"
)

// DimFirstSeen is the name that a [Segment] uses for the day an installation was
// first seen. It is no dimension: it has no values to count.
const DimFirstSeen = "first_seen"

// Limits of a [Segment].
const (
	// MaxSegmentLen bounds the text of a segment in bytes.
	MaxSegmentLen = 1000
	// MaxSegmentTerms bounds its terms, and MaxSegmentValues the values of all
	// terms together.
	MaxSegmentTerms  = 10
	MaxSegmentValues = 50
)

// ErrSegment means that a text is not a segment.
var ErrSegment = errors.New("not a segment")

// A Segment selects installations by their current values: the ones that match all
// terms. The zero value selects all. A segment never changes, so it can be shared.
//
// As text, terms are separated by spaces and values by commas:
//
//	system=windows,darwin version=1.2.x first_seen=2026-05
//
// A value may end with "*", which stands for any further text. For versions,
// 1.2.x stands for 1.2 and everything in that series. version<1.3.0 and
// version>=1.2.0 select by the app's order of versions. first_seen takes a year,
// a month, a week such as 2026-W19, a day, or two days such as
// 2026-05-04..2026-05-10. A value in double quotes is taken as it is; the empty
// one selects the installations that do not report the dimension.
type Segment struct {
	terms []SegmentTerm
}

// A SegmentTerm is one condition of a [Segment]: one of Values has to match.
type SegmentTerm struct {
	// Dimension is the name of a dimension, or DimFirstSeen.
	Dimension string
	Op        SegmentOp
	Values    []SegmentValue // at least one
}

// A SegmentOp says how a term compares.
type SegmentOp string

// The operators. All but OpIs are for versions only.
const (
	OpIs      SegmentOp = "="
	OpBefore  SegmentOp = "<"
	OpAtLeast SegmentOp = ">="
)

// A SegmentValue is one value of a [SegmentTerm].
type SegmentValue struct {
	Text string
	Kind SegmentKind
	// Days are those that a value of DimFirstSeen stands for.
	Days Range
}

// A SegmentKind says what a value matches.
type SegmentKind int

// The kinds of values.
const (
	ValueExact  SegmentKind = iota // Text, or no value if it is empty
	ValuePrefix                    // whatever begins with Text
	ValueSeries                    // the version Text, or one of its series
	ValueDays                      // first seen on one of Days
)

// dimensionAliases are further names that people use in segments.
var dimensionAliases = map[string]string{
	"arch": DimMachine, "cpu": DimMachine, "os": DimSystem, "os_version": DimRelease, "first": DimFirstSeen,
}

// ParseSegment parses the text of a segment. Names of dimensions that are not
// those of every app are facts, with or without "fact." in front. It returns
// [ErrSegment] if the text is malformed or exceeds a limit.
func ParseSegment(text string) (Segment, error) {
	if len(text) > MaxSegmentLen {
		return Segment{}, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrSegment, len(text), MaxSegmentLen)
	}
	if !utf8.ValidString(text) {
		return Segment{}, fmt.Errorf("%w: it is not UTF-8", ErrSegment)
	}
	p := segmentParser{rest: strings.TrimSpace(text)}
	var s Segment
	for p.rest != "" {
		term, err := p.term()
		if err != nil {
			return Segment{}, fmt.Errorf("%w: %w", ErrSegment, err)
		}
		s = s.merge(term)
		p.rest = strings.TrimSpace(p.rest)
	}
	return s.checked()
}

// checked returns the segment in canonical order if it is within the limits.
func (s Segment) checked() (Segment, error) {
	values := 0
	for _, term := range s.terms {
		values += len(term.Values)
	}
	switch {
	case len(s.terms) > MaxSegmentTerms:
		return Segment{}, fmt.Errorf("%w: it has %d terms, at most %d are allowed", ErrSegment, len(s.terms), MaxSegmentTerms)
	case values > MaxSegmentValues:
		return Segment{}, fmt.Errorf("%w: it has %d values, at most %d are allowed", ErrSegment, values, MaxSegmentValues)
	}
	slices.SortFunc(s.terms, func(a, b SegmentTerm) int {
		return cmp.Or(cmp.Compare(a.Dimension, b.Dimension), cmp.Compare(a.Op, b.Op), strings.Compare(a.String(), b.String()))
	})
	if text := s.String(); len(text) > MaxSegmentLen {
		return Segment{}, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrSegment, len(text), MaxSegmentLen)
	}
	return s, nil
}

// merge returns the segment with one more term. Two terms of the same dimension
// that compare with "=" become one, whose values are alternatives.
func (s Segment) merge(term SegmentTerm) Segment {
	terms := slices.Clone(s.terms)
	i := slices.IndexFunc(terms, func(t SegmentTerm) bool {
		return t.Dimension == term.Dimension && t.Op == term.Op && t.Op == OpIs
	})
	if i < 0 {
		terms, i = append(terms, SegmentTerm{Dimension: term.Dimension, Op: term.Op}), len(terms)
	}
	values := slices.Concat(terms[i].Values, term.Values)
	slices.SortFunc(values, func(a, b SegmentValue) int { return strings.Compare(a.String(), b.String()) })
	terms[i].Values = slices.Compact(values)
	return Segment{terms}
}

// Empty reports whether the segment selects all installations.
func (s Segment) Empty() bool { return len(s.terms) == 0 }

// Terms returns the terms in canonical order. They must not be changed.
func (s Segment) Terms() []SegmentTerm { return s.terms }

// And returns the segment with a value of a dimension in place of those that it
// had: the installations that have exactly this value. Text is not interpreted.
func (s Segment) And(dimension, text string) (Segment, error) {
	return s.Without(dimension).merge(SegmentTerm{dimension, OpIs, []SegmentValue{exactValue(dimension, text)}}).checked()
}

// Or returns the segment with one more alternative of a dimension, in the syntax
// of a value.
func (s Segment) Or(dimension, value string) (Segment, error) {
	other, err := ParseSegment(dimension + "=" + value)
	if err != nil {
		return Segment{}, err
	}
	for _, term := range other.terms {
		s = s.merge(term)
	}
	return s.checked()
}

// All returns the segment of the installations that match both.
func (s Segment) All(other Segment) (Segment, error) {
	for _, term := range other.terms {
		if term.Op == OpIs {
			s = s.Without(term.Dimension)
		}
		s.terms = append(slices.Clip(s.terms), term)
	}
	return s.checked()
}

// Without returns the segment without the terms of a dimension.
func (s Segment) Without(dimension string) Segment {
	return Segment{slices.DeleteFunc(slices.Clone(s.terms), func(t SegmentTerm) bool { return t.Dimension == dimension })}
}

// Drop returns the segment without its i-th term.
func (s Segment) Drop(i int) Segment { return Segment{slices.Delete(slices.Clone(s.terms), i, i+1)} }

// FirstSeen returns the segment of the installations first seen in a range.
func (s Segment) FirstSeen(r Range) (Segment, error) {
	value := SegmentValue{Text: rangeText(r), Kind: ValueDays, Days: r}
	return s.Without(DimFirstSeen).merge(SegmentTerm{DimFirstSeen, OpIs, []SegmentValue{value}}).checked()
}

// Has reports whether the segment has a term of a dimension.
func (s Segment) Has(dimension string) bool {
	return slices.ContainsFunc(s.terms, func(t SegmentTerm) bool { return t.Dimension == dimension })
}

// String returns the canonical text: equal segments have equal texts.
func (s Segment) String() string {
	texts := make([]string, 0, len(s.terms))
	for _, term := range s.terms {
		texts = append(texts, term.String())
	}
	return strings.Join(texts, " ")
}

// String returns the text of the term.
func (t SegmentTerm) String() string {
	texts := make([]string, 0, len(t.Values))
	for _, v := range t.Values {
		texts = append(texts, v.String())
	}
	return t.Dimension + string(t.Op) + strings.Join(texts, ",")
}

// String returns the text of the value, in quotes if it needs them.
func (v SegmentValue) String() string {
	switch v.Kind {
	case ValuePrefix:
		return v.Text + "*"
	case ValueSeries:
		return v.Text + ".x"
	case ValueDays:
		return v.Text
	}
	if plainValue(v.Text) {
		return v.Text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v.Text) + `"`
}

// plainValue reports whether a text can stand in a segment without quotes.
func plainValue(text string) bool {
	return text != "" && !strings.ContainsAny(text, " ,\"\\") && !strings.HasSuffix(text, "*") && !strings.HasSuffix(text, ".x") && !strings.HasSuffix(text, ".X") &&
		!strings.ContainsFunc(text, unicode.IsSpace)
}

func exactValue(dimension, text string) SegmentValue {
	return SegmentValue{Text: Canonical(dimension, text), Kind: ValueExact}
}

// A segmentParser reads terms from the front of a text.
type segmentParser struct{ rest string }

func (p *segmentParser) term() (SegmentTerm, error) {
	i := strings.IndexFunc(p.rest, func(c rune) bool { return !isNameChar(c) })
	if i <= 0 || !strings.ContainsRune("=<>", rune(p.rest[i])) {
		return SegmentTerm{}, fmt.Errorf("a term is a name, =, and a value, such as system=linux; found %.40q", p.rest)
	}
	term := SegmentTerm{Dimension: segmentDimension(p.rest[:i]), Op: OpIs}
	p.rest = p.rest[i:]
	for _, op := range []SegmentOp{OpAtLeast, OpBefore, OpIs, ""} {
		if rest, ok := strings.CutPrefix(p.rest, string(op)); ok {
			term.Op, p.rest = op, rest
			break
		}
	}
	isVersion := term.Dimension == DimVersion || term.Dimension == DimFirstVersion
	if term.Op == "" || term.Op != OpIs && !isVersion {
		return SegmentTerm{}, fmt.Errorf("%.40s can be compared with = only, and versions with < and >= too", term.Dimension)
	}
	for {
		value, err := p.value(term.Dimension)
		if err != nil {
			return SegmentTerm{}, err
		}
		term.Values = append(term.Values, value)
		var more bool
		if p.rest, more = strings.CutPrefix(p.rest, ","); !more {
			break
		}
	}
	if text := term.Values[0].Text; term.Op != OpIs && (len(term.Values) > 1 || term.Values[0].Kind != ValueExact || text == "" || text[0] == '=') {
		return SegmentTerm{}, fmt.Errorf("%s%s needs one version", term.Dimension, term.Op)
	}
	return term, nil
}

func isNameChar(c rune) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// segmentDimension returns the dimension that people mean by a name.
func segmentDimension(name string) string {
	if alias, ok := dimensionAliases[name]; ok {
		return alias
	}
	if InEveryApp(name) || name == DimFirstSeen || strings.HasPrefix(name, FactDimension) {
		return name
	}
	return FactDimension + name
}

func (p *segmentParser) value(dimension string) (SegmentValue, error) {
	if strings.HasPrefix(p.rest, `"`) {
		text, err := p.quoted()
		if err == nil && dimension == DimFirstSeen {
			err = errors.New("first_seen takes days without quotes")
		}
		return exactValue(dimension, text), err
	}
	end := strings.IndexFunc(p.rest, func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
	if end < 0 {
		end = len(p.rest)
	}
	text := p.rest[:end]
	p.rest = p.rest[end:]
	if text == "" || strings.ContainsAny(text, "\"\\") {
		return SegmentValue{}, fmt.Errorf("%.40s: a value is missing, or needs double quotes", dimension)
	}
	isVersion := dimension == DimVersion || dimension == DimFirstVersion
	if dimension == DimFirstSeen {
		return parseFirstSeen(text)
	}
	if series, ok := cutSeries(text); ok && isVersion {
		return SegmentValue{Text: report.NormalizeVersion(series), Kind: ValueSeries}, nil
	}
	if prefix, ok := strings.CutSuffix(text, "*"); ok {
		return SegmentValue{Text: prefix, Kind: ValuePrefix}, nil
	}
	if isVersion {
		text = report.NormalizeVersion(text)
	}
	return exactValue(dimension, text), nil
}

// cutSeries returns the version before ".x" or ".*".
func cutSeries(text string) (string, bool) {
	for _, suffix := range []string{".x", ".*", ".X"} {
		if series, ok := strings.CutSuffix(text, suffix); ok && series != "" {
			return series, true
		}
	}
	return "", false
}

func (p *segmentParser) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			if p.rest != "" && p.rest[0] != ',' && p.rest[0] != ' ' {
				return "", errors.New("a comma or a space must follow the quotes")
			}
			return b.String(), nil
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("the closing quotes are missing")
}

// InSeries reports whether a version belongs to a series: 1.2, 1.2.3 and 1.2-rc.1
// belong to 1.2, and 1.20 does not.
func InSeries(version, series string) bool {
	rest, ok := strings.CutPrefix(version, series)
	return ok && (rest == "" || !unicode.IsDigit(rune(rest[0])))
}

// parseFirstSeen parses the days of first sight.
func parseFirstSeen(text string) (SegmentValue, error) {
	r, ok := daysOf(text)
	if from, to, isRange := strings.Cut(text, ".."); isRange {
		first, okFrom := daysOf(from)
		last, okTo := daysOf(to)
		r, ok = Range{From: first.From, To: last.To}, okFrom && okTo
	}
	if !ok || r.To < r.From {
		return SegmentValue{}, fmt.Errorf("first_seen takes 2026, 2026-05, 2026-W19, 2026-05-04, or two of them such as 2026-05-04..2026-05-10; found %.40q", text)
	}
	return SegmentValue{Text: rangeText(r), Kind: ValueDays, Days: r}, nil
}

// daysOf returns the days of a year, a month, a week, or a day.
func daysOf(text string) (Range, bool) {
	if day, err := ParseDay(text); err == nil {
		return Range{From: day, To: day}, true
	}
	if month, err := time.Parse("2006-01", text); err == nil {
		from := DayOf(month)
		return Range{From: from, To: GrainMonth.Next(from) - 1}, true
	}
	if year, err := time.Parse("2006", text); err == nil {
		return Range{From: DayOf(year), To: DayOf(year.AddDate(1, 0, 0)) - 1}, true
	}
	year, week, ok := strings.Cut(text, "-W")
	y, errYear := strconv.Atoi(year)
	w, errWeek := strconv.Atoi(week)
	if !ok || errYear != nil || errWeek != nil || y < 1970 || y > 9999 || w < 1 || w > 53 {
		return Range{}, false
	}
	// The fourth of January is in the first week.
	monday := DayOf(time.Date(y, 1, 4, 0, 0, 0, 0, time.UTC)).Week() + Day(7*(w-1))
	isoYear, isoWeek := monday.Time().ISOWeek()
	return Range{From: monday, To: monday + 6}, isoYear == y && isoWeek == w
}

// rangeText returns the shortest text of a range of days.
func rangeText(r Range) string {
	from, to := r.From.Time(), r.To.Time()
	switch {
	case r.From == r.To:
		return r.From.String()
	case r.From == r.From.Month() && r.To == GrainMonth.Next(r.From)-1:
		return from.Format("2006-01")
	case from.Month() == time.January && from.Day() == 1 && to.Month() == time.December && to.Day() == 31 && from.Year() == to.Year():
		return from.Format("2006")
	}
	return r.From.String() + ".." + r.To.String()
}
