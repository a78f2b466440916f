package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// The address of a page has the segment that it shows, in the parameter
// segmentName. The form of the segment bar adds to it with two more, which lead to
// the canonical address.
const (
	segmentName = "segment"
	addBy       = "by"
	addValue    = "is"
)

// onlyTotals is what panels say that cannot show a segment.
const onlyTotals = "Not in a segment: only totals are kept of this."

// A segmentBar shows what a page is about, and lets the reader change it.
type segmentBar struct {
	Terms []segmentTerm
	Clear string // the address without a segment
	// Path, Rest, and Dimensions are those of the form that adds a term.
	Path       string
	Rest       url.Values
	Dimensions []option
	// Note says what a reader has to know of these figures.
	Note string
	from collector.Day // the first day that windows of the page need
}

// A segmentTerm is one condition, with the address without it.
type segmentTerm struct{ Name, Values, Without string }

// readSegment reads the segment of a view. If its address is not the canonical one,
// it returns that one.
func (v *view) readSegment() (canonical string, err error) {
	segment, err := collector.ParseSegment(v.values.Get(segmentName))
	if err != nil {
		return "", err
	}
	added := v.values.Has(addBy) || v.values.Has(addValue)
	if by, value := v.values.Get(addBy), strings.TrimSpace(v.values.Get(addValue)); by != "" && value != "" {
		if segment, err = addTerm(segment, by, value); err != nil {
			return "", err
		}
	}
	v.sees.Segment = segment
	if text := segment.String(); added || text != v.values.Get(segmentName) {
		return v.with(segmentName, text, addBy, "", addValue, ""), nil
	}
	return "", nil
}

// addTerm adds what a reader typed for a dimension: values, or a version after < or
// >=. A text that is neither is taken as it is.
func addTerm(segment collector.Segment, by, value string) (collector.Segment, error) {
	if strings.HasPrefix(value, "<") || strings.HasPrefix(value, ">=") {
		other, err := collector.ParseSegment(by + strings.ReplaceAll(value, " ", ""))
		if err != nil {
			return segment, err
		}
		return segment.All(other)
	}
	if or, err := segment.Or(by, strings.ReplaceAll(value, ", ", ",")); err == nil {
		return or, nil
	} else if by == collector.DimFirstSeen {
		return segment, err
	}
	return segment.And(by, value)
}

// hasSegment reports whether an address asks for a segment.
func hasSegment(r *http.Request) bool {
	values := r.URL.Query()
	return values.Has(segmentName) || values.Has(addBy) || values.Has(addValue)
}

// narrowed returns the address of the page for the installations that also have a
// value of a dimension; empty for the public, and for what is no single value.
func (v view) narrowed(dimension, value string) string {
	if v.sees.Public {
		return ""
	}
	segment, err := v.sees.Segment.And(dimension, value)
	if err != nil {
		return ""
	}
	return v.with(segmentName, segment.String())
}

// carried are the names of the parameters that links to other pages keep,
// besides the segment.
var carried = []string{"days", "from", "to", compareName}

// to returns the address of another page with the same dates and comparison, with a
// segment, and with further values.
func (v view) to(page string, segment collector.Segment, pairs ...string) string {
	values := url.Values{}
	for _, name := range carried {
		if value := v.values.Get(name); value != "" {
			values.Set(name, value)
		}
	}
	if !segment.Empty() {
		values.Set(segmentName, segment.String())
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return v.base + "/a/" + v.app.Key + "/" + page + query(values)
}

// inSegment returns the address of a page for the members of the segment that also
// match a text; empty for the public, or if that is no segment.
func (v view) inSegment(page, text string) string {
	more, err := collector.ParseSegment(text)
	if err != nil || v.sees.Public {
		return ""
	}
	segment, err := v.sees.Segment.All(more)
	if err != nil {
		return ""
	}
	return v.to(page, segment)
}

// versionPage returns the address of the page of a version; empty for the public.
func (v view) versionPage(version string) string {
	if v.sees.Public || version == collector.Other {
		return ""
	}
	return v.to("version", v.sees.Segment, "version", version)
}

// faultPage returns the address of the page of a fault; empty for the public.
func (v view) faultPage(id string) string {
	if v.sees.Public {
		return ""
	}
	return v.to("fault", v.sees.Segment, "fault", id)
}

// segmentBar returns the bar of a page; nil if it has none.
func (d *dashboard) segmentBar(ctx context.Context, v view, k page) (*segmentBar, error) {
	if v.sees.Public || k.whole == noBar || k.days == 0 {
		return nil, nil
	}
	bar := &segmentBar{Clear: v.with(segmentName, ""), Path: v.path(""), Rest: v.rest(addBy, addValue), Note: k.whole, from: v.span.From - 30}
	for i, term := range v.sees.Segment.Terms() {
		name := dimensionName(term.Dimension)
		if term.Op != collector.OpIs {
			name += " " + string(term.Op)
		}
		var values []string
		for _, value := range term.Values {
			values = append(values, cmp.Or(visible(value.String()), "–"))
		}
		bar.Terms = append(bar.Terms, segmentTerm{name, strings.Join(values, " or "), v.with(segmentName, v.sees.Segment.Drop(i).String())})
	}
	all, err := d.c.Dimensions(ctx, v.app.Num, figures.View{})
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Concat(all, []string{collector.DimFirstSeen}) {
		bar.Dimensions = append(bar.Dimensions, option{Value: name, Name: visible(dimensionName(name))})
	}
	if len(bar.Terms) > 0 && bar.Note == "" {
		bar.Note = "Installations count by what they report now, on past days too."
	}
	return bar, nil
}

// reached adds to the note how far back a segment reaches, if that is not far
// enough for the range.
func (b *segmentBar) reached(m figures.Meta) {
	if b != nil && m.Reaches > b.from && !strings.Contains(b.Note, "reach") {
		b.Note += fmt.Sprintf(" They reach back to %s.", m.Reaches)
	}
}

// noBar is the reason of a page that has no segment bar.
const noBar = "-"
