package dashboard

import (
	"fmt"
	"math"
	"net/http"

	"github.com/rollcall-dev/rollcall/collector"
	"github.com/rollcall-dev/rollcall/collector/dashboard/chart"
)

// overview says how the fleet is doing.
func (d *dashboard) overview(r *http.Request, v view, p *pageData) error {
	ctx, cancel := withTimeout(r)
	defer cancel()
	// The period before is read as well, to compare with.
	length := v.span.To - v.span.From + 1
	both, err := d.c.Series(ctx, v.app.Num, clamp(collector.Range{From: v.span.From - length, To: v.span.To}), v.view)
	if err != nil {
		return err
	}
	points, before := cut(both.Points, v.span.From)
	p.AsOf = both.AsOf.UTC().Format("2006-01-02 15:04 UTC")
	if len(both.Points) == 0 || v.since == v.today && empty(both.Points) {
		p.Start = &start{d.command(r, v)}
		return nil
	}
	p.Intro = "Opted-in installations only: those whose operators agreed to be counted."
	p.Tiles = tiles(both, points, before, v)
	days, open := labels(points)
	p.Panels = []panel{
		activePanel(points, days, open), growthPanel(points, days, open), asidePanel(points, days, open),
	}
	versions, err := d.c.Breakdown(ctx, v.app.Num, collector.DimVersion, 28, v.closest(), v.view)
	if err == nil {
		p.Panels = append(p.Panels, breakdownPanel("by-version", "Opted-in installations by version", versions, 10))
	}
	return nil
}

// closest gives the day in the range for which there is a breakdown: its last one, or today.
func (v view) closest() collector.Day { return min(v.span.To, v.today) }

func clamp(r collector.Range) collector.Range {
	if r.To-r.From >= collector.MaxRangeDays {
		r.From = r.To - collector.MaxRangeDays + 1
	}
	return r
}

// cut gives the points from a day on, and those before.
func cut(points []collector.SeriesPoint, from collector.Day) (after, before []collector.SeriesPoint) {
	for i, point := range points {
		if point.Day >= from {
			return points[i:], points[:i]
		}
	}
	return nil, points
}

func empty(points []collector.SeriesPoint) bool {
	for _, point := range points {
		for _, f := range []collector.Figure{point.Active.Day, point.Active.Days28, point.InMemory, point.Excluded} {
			if f == nil || *f > 0 {
				return false
			}
		}
	}
	return true
}

// labels gives the days of points, and how many at the end are not over.
func labels(points []collector.SeriesPoint) (days []string, open int) {
	for _, point := range points {
		days = append(days, point.Day.String())
		if point.Open {
			open++
		}
	}
	return days, open
}

func (d *dashboard) command(r *http.Request, v view) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return fmt.Sprintf(`curl --json '{"schema":1,"app":"%s","installation_id":"'$(cat /proc/sys/kernel/random/uuid)'",`+
		`"id_persistence":"persisted","sent_at":"'$(date -u +%%Y-%%m-%%dT%%H:%%M:%%SZ)'","version":"1.0.0"}' %s://%s/v1/heartbeat`,
		v.app.Key, scheme, r.Host)
}

// tiles are the figures at the top.
func tiles(s collector.Series, points, before []collector.SeriesPoint, v view) []tile {
	if len(points) == 0 {
		return nil
	}
	last := points[len(points)-1]
	closed := points
	if last.Open && len(points) > 1 {
		closed = points[:len(points)-1]
	}
	full := closed[len(closed)-1]
	k := v.k()
	var old collector.SeriesPoint
	known := len(before) > 0 && !before[len(before)-1].Gap
	if known {
		old = before[len(before)-1]
	}
	at := func(name, explain string, get func(collector.SeriesPoint) collector.Figure) tile {
		t := tile{Name: name, Explain: explain, Value: textOf(get(full), k), Number: get(full) != nil}
		if full.Gap {
			t.Value = "–"
		}
		if known {
			t.change(get(full), get(old))
		}
		spark := make([]float64, len(closed))
		for i, point := range closed {
			spark[i] = value(get(point))
		}
		if len(spark) > 1 {
			t.Spark = chart.Spark(spark, chart.Text{Title: name, Desc: fmt.Sprintf("over %d days", len(spark))})
		}
		return t
	}
	sum := func(name, explain string, get func(collector.SeriesPoint) collector.Figure) tile {
		now, then := add(points, get), add(before, get)
		t := tile{Name: name, Explain: explain, Value: textOf(now, k), Number: now != nil}
		if known && len(before) >= len(points) {
			t.change(now, then)
		}
		return t
	}
	all := []tile{
		at("Active in 28 days", "Different installations in the 28 days to the last whole day", func(p collector.SeriesPoint) collector.Figure { return p.Active.Days28 }),
		at("Active in 7 days", "Different installations in the 7 days to the last whole day", func(p collector.SeriesPoint) collector.Figure { return p.Active.Week }),
		at("Active in a day", "Different installations on the last whole day", func(p collector.SeriesPoint) collector.Figure { return p.Active.Day }),
		at("Established", "Of those active in 28 days, the ones seen on two days or more", func(p collector.SeriesPoint) collector.Figure { return p.Established.Days28 }),
		sum("New", "Seen for the first time in the range", func(p collector.SeriesPoint) collector.Figure { return p.New }),
		sum("Lost", "Not seen for 28 days, in the range", func(p collector.SeriesPoint) collector.Figure { return p.Lost }),
	}
	net := tile{Name: "Net", Explain: "New and returning, less lost and forgotten, in the range", Value: "–"}
	up1, up2 := add(points, func(p collector.SeriesPoint) collector.Figure { return p.New }), add(points, func(p collector.SeriesPoint) collector.Figure { return p.Returning })
	down1, down2 := add(points, func(p collector.SeriesPoint) collector.Figure { return p.Lost }), add(points, func(p collector.SeriesPoint) collector.Figure { return p.Forgotten })
	if up1 != nil && up2 != nil && down1 != nil && down2 != nil {
		n := int64(*up1+*up2) - int64(*down1+*down2)
		net.Value = map[bool]string{true: "+", false: "−"}[n >= 0] + grouped(uint64(max(n, -n)))
	}
	sticky := tile{Name: "Stickiness", Explain: "Share of those active in 28 days that are active on the last whole day", Value: "–"}
	if a, b := full.Active.Day, full.Active.Days28; a != nil && b != nil && *b > 0 {
		sticky.Value = fmt.Sprintf("%.0f %%", 100*float64(*a)/float64(*b))
	}
	age := tile{Name: "Median age", Explain: "Days since first sight of those active in 28 days", Value: "–"}
	if s.MedianAge != nil {
		age.Value = grouped(*s.MedianAge) + " d"
	}
	return append(all, net, sticky, age)
}

// add adds up a figure; a hidden one makes the sum hidden.
func add(points []collector.SeriesPoint, get func(collector.SeriesPoint) collector.Figure) collector.Figure {
	var sum uint64
	for _, point := range points {
		f := get(point)
		if point.Gap {
			continue
		}
		if f == nil {
			return nil
		}
		sum += *f
	}
	return &sum
}

// change says how a figure compares with an earlier one.
func (t *tile) change(now, then collector.Figure) {
	if now == nil || then == nil || *then == 0 {
		return
	}
	share := float64(*now)/float64(*then) - 1
	t.Up, t.Down = share > 0.0005, share < -0.0005
	t.Change = fmt.Sprintf("%+.1f %%", share*100)
	if !t.Up && !t.Down {
		t.Change = "unchanged"
	}
}

func pick(points []collector.SeriesPoint, get func(collector.SeriesPoint) collector.Figure) []float64 {
	values := make([]float64, len(points))
	for i, point := range points {
		values[i] = value(get(point))
		if point.Gap {
			values[i] = math.NaN()
		}
	}
	return values
}

func activePanel(points []collector.SeriesPoint, days []string, open int) panel {
	t := table{Head: []string{"day", "28 days", "7 days", "1 day", "28 days, established", "7 days, established", "1 day, established", "state"}}
	for _, p := range points {
		t.Rows = append(t.Rows, []any{
			p.Day, p.Active.Days28, p.Active.Week, p.Active.Day, p.Established.Days28, p.Established.Week, p.Established.Day, state(p.Open, p.Gap),
		})
	}
	return panel{
		ID: "active", Title: "Active opted-in installations", Wide: true, Table: t,
		Explain: "Different installations in the 28 days, 7 days and day that end with each day (UTC). Established ones were seen on two " +
			"days or more. The last stretch is dashed while its day is not over; a break in a line is a day on which the collector did not run.",
		Chart: chart.Lines{
			Text: chart.Text{Title: "Active opted-in installations", Desc: "One line each for 28 days, established in 28 days, 7 days and a day."}, Labels: days, Open: open,
			Series: []chart.Series{
				{Name: "28 days", Values: pick(points, func(p collector.SeriesPoint) collector.Figure { return p.Active.Days28 })},
				{Name: "established", Values: pick(points, func(p collector.SeriesPoint) collector.Figure { return p.Established.Days28 })},
				{Name: "7 days", Values: pick(points, func(p collector.SeriesPoint) collector.Figure { return p.Active.Week })},
				{Name: "1 day", Values: pick(points, func(p collector.SeriesPoint) collector.Figure { return p.Active.Day })},
			},
		},
	}
}

func state(open, gap bool) string {
	switch {
	case gap:
		return "gap"
	case open:
		return "not over"
	}
	return "closed"
}

// growthPanel adds days up to weeks when there are many.
func growthPanel(points []collector.SeriesPoint, _ []string, _ int) panel {
	t := table{Head: []string{"from", "new", "returning", "lost", "forgotten", "net"}}
	step := 1
	unit := "day"
	if len(points) > 45 {
		step, unit = 7, "week"
	}
	var names []string
	series := []chart.Series{{Name: "new"}, {Name: "returning"}, {Name: "lost"}, {Name: "forgotten"}}
	open := 0
	for i := len(points) % step; i < len(points); i += step {
		part := points[i:min(len(points), i+step)]
		row := []any{part[0].Day}
		net, whole := int64(0), true
		for n, get := range []func(collector.SeriesPoint) collector.Figure{
			func(p collector.SeriesPoint) collector.Figure { return p.New },
			func(p collector.SeriesPoint) collector.Figure { return p.Returning },
			func(p collector.SeriesPoint) collector.Figure { return p.Lost },
			func(p collector.SeriesPoint) collector.Figure { return p.Forgotten },
		} {
			sum := add(part, get)
			row = append(row, sum)
			up := value(sum)
			if n >= 2 {
				up = -up
			}
			series[n].Values = append(series[n].Values, up)
			whole = whole && sum != nil
			if sum != nil {
				net += int64(up)
			}
		}
		if whole {
			row = append(row, fmt.Sprintf("%+d", net))
		} else {
			row = append(row, "")
		}
		t.Rows = append(t.Rows, row)
		names = append(names, part[0].Day.String())
		if part[len(part)-1].Open {
			open = 1
		}
	}
	return panel{
		ID: "growth", Title: "Growth of opted-in installations by " + unit, Table: t,
		Explain: "New are seen for the first time; returning were away for 28 days or more; lost have not been seen for 28 days; forgotten asked to " +
			"be deleted. New and returning less lost and forgotten is the change of the 28-day figure.",
		Chart: chart.Columns{
			Text:   chart.Text{Title: "Growth of opted-in installations", Desc: "New and returning above, lost and forgotten below."},
			Labels: names, Series: series, Open: open,
		},
	}
}

func asidePanel(points []collector.SeriesPoint, days []string, open int) panel {
	t := table{Head: []string{"day", "in memory", "excluded"}}
	for _, p := range points {
		t.Rows = append(t.Rows, []any{p.Day, p.InMemory, p.Excluded})
	}
	return panel{
		ID: "aside", Title: "Counted beside: IDs in memory, and excluded ones", Table: t,
		Explain: "IDs that are not persisted may be others tomorrow, and development versions can be excluded in the settings. Neither is in any other figure.",
		Chart: chart.Lines{
			Text: chart.Text{Title: "IDs in memory, and excluded ones", Desc: "By day."}, Labels: days, Open: open,
			Series: []chart.Series{
				{Name: "in memory", Values: pick(points, func(p collector.SeriesPoint) collector.Figure { return p.InMemory })},
				{Name: "excluded", Values: pick(points, func(p collector.SeriesPoint) collector.Figure { return p.Excluded })},
			},
		},
	}
}

// breakdownPanel shows the values of a dimension; those beyond most are added up.
func breakdownPanel(id, title string, b collector.Breakdown, most int) panel {
	t := table{Head: []string{b.Dimension, "installations", "share"}}
	var bars []chart.Bar
	rest, restShare := uint64(0), 0.0
	for i, v := range b.Values {
		t.Rows = append(t.Rows, []any{v.Value, v.Count, v.Share})
		if i >= most && len(b.Values) > most+1 {
			if v.Count != nil {
				rest += *v.Count
			}
			restShare += v.Share
			continue
		}
		bars = append(bars, chart.Bar{Name: v.Value, Value: value(v.Count), Note: chart.Short(value(v.Count)) + fmt.Sprintf(" · %.1f %%", v.Share*100)})
	}
	if rest > 0 {
		bars = append(bars, chart.Bar{Name: "others", Value: float64(rest), Note: chart.Short(float64(rest)) + fmt.Sprintf(" · %.1f %%", restShare*100)})
	}
	p := panel{
		ID: id, Title: title, Table: t,
		Explain: fmt.Sprintf("Of the installations active in the %d days to %s, by what they reported last. %s of %s reporting.",
			b.Window, b.To, orDash(b.Reporting), orDash(b.Active)),
	}
	if b.Suppressed > 0 {
		p.Explain += " Small groups are not shown."
	}
	if len(bars) == 0 {
		p.Empty = "Nothing is reported."
		return p
	}
	p.Chart = chart.Bars{Text: chart.Text{Title: title, Desc: fmt.Sprintf("%d values.", len(b.Values))}, Bars: bars}
	return p
}

func orDash(f collector.Figure) string {
	if f == nil {
		return "–"
	}
	return grouped(*f)
}
