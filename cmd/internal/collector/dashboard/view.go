package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A view is the state of a page, as its address says it.
type view struct {
	viewer
	page   string
	span   collector.Range
	days   int // 0 if the address names the first day or the last
	today  collector.Day
	since  collector.Day // the first day of the app
	values url.Values
}

// ranges are the lengths that a reader can choose, in days.
var ranges = []int{7, 28, 90, 400}

// errSpan is the error of an address with an impossible date range.
var errSpan = errors.New("invalid date range")

// view reads the view of a request. length is the usual range in days.
func (d *dashboard) view(r *http.Request, who viewer, length int) (view, error) {
	v := view{viewer: who, page: r.PathValue("page"), values: r.URL.Query()}
	var err error
	if v.today, v.since, err = d.c.Today(v.app.Num); err != nil {
		return v, err
	}
	day := func(name string, fallback collector.Day) collector.Day {
		text := v.values.Get(name)
		if text == "" || err != nil {
			return fallback
		}
		day, parseErr := collector.ParseDay(text)
		if parseErr != nil {
			err = fmt.Errorf("%w: %w", errSpan, parseErr)
		}
		return day
	}
	if v.values.Get("from") == "" && v.values.Get("to") == "" {
		v.days = max(length, 1)
		if text := v.values.Get("days"); text != "" {
			if v.days, err = strconv.Atoi(text); err != nil || v.days < 1 || v.days > collector.MaxRangeDays {
				return v, fmt.Errorf("%w: days must be a number from 1 to %d", errSpan, collector.MaxRangeDays)
			}
		}
		length = v.days
	}
	v.span.To = day("to", v.today)
	v.span.From = day("from", v.span.To-collector.Day(max(length, 1))+1)
	if err == nil && (v.span.To < v.span.From || v.span.To-v.span.From >= collector.MaxRangeDays) {
		err = fmt.Errorf("%w: it must start before it ends and have at most %d days", errSpan, collector.MaxRangeDays)
	}
	return v, err
}

// lastDay returns the last day of the range that has figures.
func (v view) lastDay() collector.Day { return min(v.span.To, v.today) }

// get returns a value of the address, or a fallback.
func (v view) get(name, fallback string) string { return cmp.Or(v.values.Get(name), fallback) }

// with returns the address of the page with other values: pairs of names and
// values, an empty value for none.
func (v view) with(pairs ...string) string {
	values := v.rest()
	for i := 0; i+1 < len(pairs); i += 2 {
		if values.Del(pairs[i]); pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return v.path("") + query(values)
}

// path returns the path of the page, or of a file of it.
func (v view) path(file string) string {
	p := "/a/" + v.app.Key + "/" + v.page
	if file != "" {
		p += "/" + file
	}
	return p
}

func query(values url.Values) string {
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// rest returns the state of the page for a form that sets some of it.
func (v view) rest(but ...string) url.Values {
	rest := url.Values{}
	for name, values := range v.values {
		if len(values) > 0 && name != "saved" && !slices.Contains(but, name) {
			rest[name] = values[:1]
		}
	}
	return rest
}

// choose lets the reader choose what a panel shows.
func (v view) choose(p *panel, selects ...selection) {
	var names []string
	for _, s := range selects {
		names = append(names, s.Name)
	}
	p.Selects, p.Rest = selects, v.rest(names...)
}

// choices returns a row of links, one for each value of a name. Current is the
// value of this view.
func (v view) choices(label, name, current string, values ...string) choiceRow {
	row := choiceRow{Name: label}
	for _, value := range values {
		row.Choices = append(row.Choices, link{visible(value), v.with(name, value), value == current})
	}
	return row
}
