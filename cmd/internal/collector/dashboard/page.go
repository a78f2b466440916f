package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
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
}

// pages returns the pages in the order of the navigation.
func pages() []page {
	return []page{
		{"overview", "Overview", "", 90, (*dashboard).overview},
		{"versions", "Versions", "", 90, (*dashboard).versions},
		{"retention", "Retention", "", 90, (*dashboard).retention},
		{"features", "Platforms and features", "", 90, (*dashboard).features},
		{"health", "Health", "", 28, (*dashboard).health},
		{"quality", "Data quality", access.Read, 90, (*dashboard).quality},
		{"settings", "Settings", access.Admin, 0, nil},
	}
}

type pageData struct {
	frame
	Path   string // of the page, without the view
	Ranges []link

	From, To string
	Rest     url.Values // of the state, for another range
	Choices  []choiceRow
	Tiles    []tile
	Panels   []panel

	AsOf, Notice string
	Public       bool
	K            int    // groups below are hidden from this reader; 0 for none
	Start        string // the command that sends a first heartbeat
	Admin        bool
	Faults       []figures.Fault // to triage
	Release      []string        // versions whose release date can be set
	Saved        bool
}

type choiceRow struct {
	Name    string
	Choices []link
}

// asOf says up to which moment reports are counted.
func (p *pageData) asOf(m figures.Meta) {
	p.AsOf = m.AsOf.UTC().Format("2006-01-02 15:04 UTC")
}

// shortened says that the figures cover fewer days than the reader asked for.
// The public sees a month at most.
func (p *pageData) shortened(what string, asked, got collector.Range) {
	if got.From > asked.From {
		p.Notice = fmt.Sprintf("%s are public for %s to %s only.", what, got.From, got.To)
	}
}

const pageWait = 20 * time.Second

// build returns the data of the page that a request asks for. If there is none,
// build answers the request and returns false.
func (d *dashboard) build(w http.ResponseWriter, r *http.Request) (*pageData, view, bool) {
	var k page
	for _, candidate := range pages() {
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
	v, err := d.view(r, who, k.days)
	if err == nil && d.unchanged(w, r, v) {
		return nil, v, false
	}
	p := d.pageData(r, v, k)
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), pageWait)
		defer cancel()
		err = k.fill(d, ctx, v, p)
	}
	if err != nil {
		d.explain(w, r, err)
		return nil, v, false
	}
	for i := range p.Panels {
		panel := &p.Panels[i]
		panel.CSV = v.path(panel.ID+".csv") + query(v.values)
		panel.JSON = v.path(panel.ID+".json") + query(v.values)
		panel.Link = v.with("days", "", "from", v.span.From.String(), "to", v.span.To.String()) + "#" + panel.ID
	}
	return p, v, true
}

// pageData returns what a page has besides its figures.
func (d *dashboard) pageData(r *http.Request, v view, k page) *pageData {
	p := &pageData{
		frame: d.frame(r, k.name), Path: v.path(""), Public: v.sees.Public, K: v.hides(), Admin: v.admin, Saved: v.values.Get("saved") != "",
	}
	span := url.Values{}
	for _, name := range []string{"days", "from", "to"} {
		if value := v.values.Get(name); value != "" {
			span.Set(name, value)
		}
	}
	for _, other := range pages() {
		if other.need == "" || other.need == access.Read && v.reads || v.admin {
			p.Pages = append(p.Pages, link{other.name, "/a/" + v.app.Key + "/" + other.id + query(span), other.id == k.id})
		}
	}
	for i := range p.Apps {
		p.Apps[i].URL += query(v.values)
	}
	if k.days == 0 {
		return p
	}
	for _, days := range ranges {
		p.Ranges = append(p.Ranges, link{
			strconv.Itoa(days) + " days", v.with("days", strconv.Itoa(days), "from", "", "to", ""), v.days == days,
		})
	}
	p.From, p.To = v.span.From.String(), v.span.To.String()
	p.Rest = v.rest("days", "from", "to")
	return p
}

// unchanged reports whether the browser already has the page, and answers then.
func (d *dashboard) unchanged(w http.ResponseWriter, r *http.Request, v view) bool {
	grant, _ := d.opts.Access.Grant(r)
	return respond.Unchanged(w, r, fmt.Sprintf("%s-%d-%d-%d-%s", d.stamp, v.app.Num, d.c.Tag(v.app.Num, v.sees), v.today,
		hash(grant.Name, r.URL.RequestURI(), fmt.Sprint(d.c.Apps()))))
}

func (d *dashboard) explain(w http.ResponseWriter, r *http.Request, err error) {
	for _, known := range []error{errSpan, errPart, collector.ErrRange, collector.ErrWindow, collector.ErrGrain, collector.ErrDimension, collector.ErrNoDay} {
		if errors.Is(err, known) {
			d.problem(w, r, http.StatusBadRequest, sentence(err))
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
	d.render(w, r, http.StatusOK, "page.html", p)
}

func (d *dashboard) download(w http.ResponseWriter, r *http.Request) {
	id, format, _ := strings.Cut(r.PathValue("file"), ".")
	if format != "csv" && format != "json" {
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
		if format == "json" {
			kind, body = "application/json", panel.json(v)
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.%s"`, v.app.Key, id, format))
		respond.Body(w, r, body)
		return
	}
	d.notFound(w, r)
}

// firstHeartbeat replaces the empty panels of an app that has never counted
// anything by the command that sends a first heartbeat. The page on data
// quality stays: it says why heartbeats are refused.
func (d *dashboard) firstHeartbeat(r *http.Request, v view, p *pageData) error {
	if reported, err := d.c.Reported(v.app.Num); err != nil || reported || v.page == "quality" {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), pageWait)
	defer cancel()
	all, err := d.c.Series(ctx, v.app.Num, clamp(collector.Range{From: v.since, To: v.today}), v.sees)
	if err != nil {
		return err
	}
	for _, point := range all.Points {
		for _, f := range []figures.Count{point.Active.Day, point.Active.Days28, point.InMemory, point.Excluded} {
			if f == nil || *f > 0 {
				return nil
			}
		}
	}
	scheme := "http"
	if r.TLS != nil || r.URL.Scheme == "https" {
		scheme = "https"
	}
	p.Start = fmt.Sprintf(`curl --json '{"schema":1,"app":"%s","installation_id":"'$(cat /proc/sys/kernel/random/uuid)'",`+
		`"id_persistence":"persisted","sent_at":"'$(date -u +%%Y-%%m-%%dT%%H:%%M:%%SZ)'","version":"1.0.0"}' %s://%s/v1/heartbeat`,
		v.app.Key, scheme, r.Host)
	p.Tiles, p.Choices, p.Panels, p.Ranges = nil, nil, nil, nil
	return nil
}
