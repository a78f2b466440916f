package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/respond"
)

type page struct {
	id, name string
	need     access.Scope // empty if the public may see it
	days     int          // the usual range; 0 for a page without a range
	// fill fills in the figures; nil for the settings, which have a template of
	// their own.
	fill func(d *dashboard, ctx context.Context, v view, p *pageData) error
	// whole says why the page shows all installations, whatever the segment; noBar
	// for a page that has no segment bar.
	whole string
}

// under returns the page of the navigation that this one belongs to.
func (k page) under() string {
	switch k.id {
	case "version":
		return "versions"
	case "fault":
		return "health"
	}
	return k.id
}

// pages returns the pages in the order of the navigation.
func pages() []page {
	return []page{
		{"overview", "Overview", "", 90, (*dashboard).overview, ""},
		{"versions", "Versions", "", 90, (*dashboard).versions, ""},
		{"retention", "Retention", access.Read, 90, (*dashboard).retention, ""},
		{"features", "Platforms", "", 90, (*dashboard).features, ""},
		{"health", "Health", "", 28, (*dashboard).health, ""},
		{"quality", "Data quality", access.Read, 90, (*dashboard).quality, "This page is about reports, so it shows all installations."},
		{"settings", "Settings", access.Admin, 0, nil, noBar},
		{"audit", "Audit log", access.Admin, 90, (*dashboard).auditLog, noBar},
	}
}

// detailPages are the pages that other pages lead to.
func detailPages() []page {
	return []page{
		{"version", "Version", access.Read, 90, (*dashboard).version, ""},
		{"fault", "Fault", access.Read, 28, (*dashboard).fault, ""},
	}
}

type pageData struct {
	frame
	Path   string // of the page, without the view
	Ranges []link

	RangeName string // of the chosen range
	From, To  string
	Rest      url.Values // of the state, for another range
	Choices   []choiceRow
	Compare   *choiceRow  // nil if the page has nothing to compare
	Segment   *segmentBar // nil if the page has none
	Changed   *changed    // nil on other pages than the overview, and for the public
	Tiles     []tile
	Picks     bool   // the tiles choose what the first chart shows
	More      []tile // shown on demand
	MoreOpen  bool
	Panels    []panel
	Events    []event // in the range

	AsOf, Notice string
	Public       bool
	K            int       // groups below are hidden from this reader; 0 for none
	NextWindow   string    // the day of the next public figures
	NotAnonymous bool      // the public figures may reveal something about one installation
	Start        []starter // the ways to send a first heartbeat
	Admin        bool
	Faults       []figures.Fault // to triage
	Release      []string        // versions whose release date can be set
	Clear        bool            // what was turned away can be cleared
	Saved        bool
}

type choiceRow struct {
	Name    string
	Choices []link
	Menu    bool // the choices are in a menu
}

// Current returns the name of the current choice.
func (c choiceRow) Current() string {
	for _, choice := range c.Choices {
		if choice.Current {
			return choice.Name
		}
	}
	return ""
}

// asOf says up to which moment reports are counted.
func (p *pageData) asOf(m figures.Meta) {
	p.AsOf = m.AsOf.UTC().Format("2006-01-02 15:04 UTC")
	p.Segment.reached(m)
}

// publicNotice says which windows the public sees, and from when on.
func publicNotice(v view) string {
	if last := collector.LastPublicDay(v.today - 1); last < v.since {
		return fmt.Sprintf("There are public figures from %s on, after the first 28 days that are counted together. "+
			"They include installations that were seen on two days by then, in groups of at least %d.", last+collector.PublicDays+1, v.k())
	}
	return ""
}

// clockNotice says what a clock that is not trusted means, and what to do.
func clockNotice(c collector.Clock) string {
	return fmt.Sprintf("The collector’s clock reads %s, but %s was expected. Reports count provisionally on %s until %d known installations agree (%d do, %d do not), "+
		"the clock is set right, or you confirm the day with “rollcall collector check --fix-day”.",
		c.Reads.Format("2006-01-02 15:04 UTC"), c.Expected.Format("2006-01-02 15:04 UTC"), c.Day, c.Needed, c.Agree, c.Against)
}

const pageWait = 20 * time.Second

// build returns the data of the page that a request asks for. If there is none,
// build answers the request and returns false.
func (d *dashboard) build(w http.ResponseWriter, r *http.Request) (*pageData, view, bool) {
	var k page
	for _, candidate := range slices.Concat(pages(), detailPages()) {
		if candidate.id == r.PathValue("page") {
			k = candidate
		}
	}
	if k.fill == nil {
		d.notFound(w, r)
		return nil, view{}, false
	}
	who, ok := d.viewer(w, r, k.need)
	if !ok {
		return nil, view{}, false
	}
	if who.sees.Public && hasSegment(r) { // before it is read
		d.notFound(w, r)
		return nil, view{}, false
	}
	v, err := d.view(r, who, k.days)
	if err == nil && !who.sees.Public {
		var canonical string
		if canonical, err = v.readSegment(); err == nil && canonical != "" {
			http.Redirect(w, r, canonical, http.StatusSeeOther)
			return nil, v, false
		}
	}
	if err == nil && k.id != "audit" && d.unchanged(w, r, v) {
		return nil, v, false
	}
	p := d.pageData(r, v, k)
	if err == nil {
		ctx, cancel := context.WithTimeout(engine.Together(r.Context()), pageWait)
		defer cancel()
		if p.Segment, err = d.segmentBar(ctx, v, k); err == nil {
			err = k.fill(d, ctx, v, p)
		}
		if err == nil {
			err = d.addEvents(ctx, v, p)
		}
	}
	if err != nil {
		d.explain(w, r, err)
		return nil, v, false
	}
	if p.Public {
		if notice := publicNotice(v); notice != "" {
			p.Notice, p.AsOf, p.Tiles, p.Choices, p.Panels, p.Events = notice, "", nil, nil, nil, nil
		}
	}
	if clock := d.c.Clock(); v.reads && !clock.Trusted {
		p.Notice = strings.TrimSpace(clockNotice(clock) + " " + p.Notice)
	}
	for i := range p.Panels {
		panel := &p.Panels[i]
		panel.k = p.K
		panel.Wide = panel.Wide && panel.Empty == "" // what says nothing takes little room
		panel.CSV = v.path(panel.ID+".csv") + query(v.values)
		panel.Spreadsheet = v.path(panel.ID+".spreadsheet.csv") + query(v.values)
		panel.JSON = v.path(panel.ID+".json") + query(v.values)
		panel.Link = v.with("days", "", "from", v.span.From.String(), "to", v.drawn().To.String()) + "#" + panel.ID
	}
	return p, v, true
}

// pageData returns what a page has besides its figures.
func (d *dashboard) pageData(r *http.Request, v view, k page) *pageData {
	p := &pageData{
		frame: d.frame(r, k.name), Path: v.path(""), Public: v.sees.Public, K: v.hides(), Admin: v.admin, Saved: v.values.Get("saved") != "",
	}
	p.Card = d.cardOf(r, v.viewer, p.AppName)
	if v.reads && d.opts.Alerts != nil {
		firing, err := d.opts.Alerts.Firing(r.Context(), v.app.Num)
		if err != nil {
			d.log.Warn("Cannot read which alerts fire", "error", err.Error())
		}
		p.Firing = len(firing)
	}
	if p.Public {
		p.NextWindow = (collector.LastPublicDay(v.today-1) + collector.PublicDays + 1).String()
		p.NotAnonymous = v.k() < collector.AnonymousK || v.sees.Pairs
	}
	span := url.Values{}
	for _, name := range append(slices.Clone(carried), segmentName) {
		if value := v.values.Get(name); value != "" {
			span.Set(name, value)
		}
	}
	for _, other := range pages() {
		if other.need == "" || other.need == access.Read && v.reads || v.admin {
			p.Pages = append(p.Pages, link{other.name, d.base + "/a/" + v.app.Key + "/" + other.id + query(span), other.id == k.under()})
		}
	}
	elsewhere := v.rest(segmentName, "version", "fault", "trend", "row", "column", "part", "component", "new") // another app has others
	for i := range p.Apps {
		p.Apps[i].URL += query(elsewhere)
	}
	if k.days == 0 {
		return p
	}
	for _, days := range ranges {
		if p.Public && days < collector.PublicDays {
			continue
		}
		p.Ranges = append(p.Ranges, link{
			"Last " + strconv.Itoa(days) + " days", v.with("days", strconv.Itoa(days), "from", "", "to", ""), v.length == days,
		})
	}
	p.RangeName = v.days(v.span)
	if v.length > 0 {
		p.RangeName = "Last " + inDays(v.length)
	}
	p.From, p.To = v.span.From.String(), v.drawn().To.String()
	p.Rest = v.rest("days", "from", "to")
	p.Ranges = append(p.Ranges, v.presets(p.Public)...)
	return p
}

// unchanged reports whether the browser already has the page, and answers then.
func (d *dashboard) unchanged(w http.ResponseWriter, r *http.Request, v view) bool {
	grant, _ := d.opts.Access.Grant(r)
	return respond.Unchanged(w, r, fmt.Sprintf("%s-%d-%d-%d-%s", d.stamp, v.app.Num, d.c.Tag(v.app.Num, v.sees), v.today,
		hash(grant.Name, r.URL.RequestURI(), fmt.Sprint(d.c.Apps()))))
}

func (d *dashboard) explain(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, collector.ErrVersion) || errors.Is(err, collector.ErrFault) {
		d.problem(w, r, http.StatusNotFound, sentence(err))
		return
	}
	dates, segment := []string{"days", "from", "to"}, []string{segmentName, addBy, addValue}
	for _, known := range []struct {
		error
		names []string // of the wrong parameters
	}{
		{errSpan, dates},
		{collector.ErrRange, dates},
		{collector.ErrNoDay, dates},
		{errPart, []string{"part"}},
		{errChoice, []string{compareName, "show", "status"}},
		{collector.ErrGrain, []string{"grain"}},
		{collector.ErrSegment, segment},
		{engine.ErrNotSegmented, segment},
		{collector.ErrDimension, append(segment, "trend", "row", "column")},
	} {
		if errors.Is(err, known.error) {
			values := r.URL.Query()
			for _, name := range known.names {
				values.Del(name)
			}
			f := d.frame(r, http.StatusText(http.StatusBadRequest))
			f.Problem, f.Without = sentence(err), d.base+r.URL.Path+query(values)
			d.render(w, r, http.StatusBadRequest, "problem.html", f)
			return
		}
	}
	d.log.Warn("Cannot read the figures of a page", "error", err.Error())
	d.problem(w, r, http.StatusServiceUnavailable, "The figures are not available right now. Try again in a moment.")
}

func (d *dashboard) servePage(w http.ResponseWriter, r *http.Request) {
	p, v, ok := d.build(w, r)
	if !ok {
		return
	}
	if err := d.firstHeartbeat(r, v, p); err != nil {
		d.explain(w, r, err)
		return
	}
	if p.Start != nil {
		w.Header().Set("Content-Security-Policy", livePolicy)
	}
	d.render(w, r, http.StatusOK, "page.html", p)
}

func (d *dashboard) download(w http.ResponseWriter, r *http.Request) {
	id, format, _ := strings.Cut(r.PathValue("file"), ".")
	if !slices.Contains([]string{"csv", "spreadsheet.csv", "json"}, format) {
		d.notFound(w, r)
		return
	}
	p, v, ok := d.build(w, r)
	if !ok {
		return
	}
	for _, panel := range p.Panels {
		if panel.ID != id {
			continue
		}
		kind, body := "text/csv; charset=utf-8", panel.Table.CSV()
		switch format {
		case "spreadsheet.csv":
			body = panel.Table.Spreadsheet()
		case "json":
			kind, body = "application/json", panel.json(v)
		}
		d.audit(v.viewer, audit.Exported, v.page+"/"+id)
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.%s"`, v.app.Key, id, format))
		respond.Body(w, r, body)
		return
	}
	d.notFound(w, r)
}
