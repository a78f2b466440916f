package dashboard

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/csvcell"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A drawer draws a chart.
type drawer interface {
	Draw() template.HTML
}

// A panel answers one question. Table has the figures, and Chart, which may be nil, is a drawing of them.
type panel struct {
	ID, Title string
	// Answer says in a few words what the figures say; it may be empty. Explain says what is counted. Make both with [say].
	Answer, Explain template.HTML
	Chart           drawer
	Table           table
	Meta            figures.Meta
	// Form lets its reader choose what is shown; nil for nothing.
	Form *form
	// Wide says that it takes the whole width.
	Wide bool
	// Empty is what stands there instead when there are no figures.
	Empty string
	// CSV and JSON are where the table can be downloaded, and Link shows the panel once more, whatever day it is then.
	CSV, JSON, Link string
	// Open shows the table from the beginning.
	Open bool
}

// shown puts a panel and the size of the smallest group beside one another, for the template of panels.
func shown(p panel, k int) any {
	return struct {
		Panel panel
		K     int
	}{p, k}
}

// A form chooses what a panel shows.
type form struct {
	Selects []selection
	Hidden  []hidden // the rest of the state
	Anchor  string   // of the panel
}

// A selection is one choice of a form.
type selection struct {
	Name, Label string
	Options     []option
}

type option struct {
	Value, Name string
	Current     bool
}

// A table has texts, figures (figures.Count), numbers (uint64, float64 for shares), days, and unknown.
type table struct {
	Head []string
	Rows [][]any
}

// unknown is a cell of a day on which the collector did not run.
type unknown struct{}

// MarshalJSON implements [json.Marshaler].
func (unknown) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// atLeast is a cell of a sum in which hidden figures are missing.
type atLeast uint64

// String gives the sum with a sign before it.
func (n atLeast) String() string { return "≥ " + strconv.FormatUint(uint64(n), 10) }

// MarshalText implements [encoding.TextMarshaler].
func (n atLeast) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// cellOf gives a figure as a cell; in a gap it is not known.
func cellOf(gap bool, f figures.Count) any {
	if gap {
		return unknown{}
	}
	return f
}

// A tile is one figure, with its change against the period before.
type tile struct {
	Name, Explain string
	Value         template.HTML
	Change        string
	// Sign is an arrow for the change, or empty.
	Sign  string
	Spark template.HTML
}

// A choice is one of several views.
type choice struct {
	Name, URL string
	Current   bool
}

// pageData is what a page shows.
type pageData struct {
	frame
	Path    string // of the page, without the view
	Ranges  []choice
	From    string
	To      string
	Hidden  []hidden // fields of the form for an own range
	Choices []choiceRow
	Tiles   []tile
	Panels  []panel
	AsOf    string
	Notice  string
	Public  bool
	K       int // that hides figures from this reader; 0 for nothing
	Start   *start
	Admin   bool
	Faults  []faultForm
	Release []string // versions whose day can be set
	Saved   bool
}

// asOf says up to which moment reports are counted.
func (p *pageData) asOf(m figures.Meta) {
	p.AsOf = m.AsOf.UTC().Format("2006-01-02 15:04 UTC")
}

// Statuses are what can be said of a fault.
func (pageData) Statuses() []string {
	return []string{string(collector.FaultOpen), string(collector.FaultIgnored), string(collector.FaultFixed)}
}

type hidden struct{ Name, Value string }

type choiceRow struct {
	Name    string
	Choices []choice
}

// start is what an app without installations shows.
type start struct{ Command string }

// A view is the state of a page: what is in its address.
type view struct {
	viewer
	page     string
	span     collector.Range
	days     int // 0 for an own range
	today    collector.Day
	since    collector.Day
	values   url.Values
	revision uint64
}

// ranges are the lengths that can be chosen, in days.
var ranges = []int{7, 28, 90, 400}

var errView = errors.New("the address is not right")

// read reads the view of a request.
func (d *dashboard) read(r *http.Request, v viewer) (view, error) {
	s := view{viewer: v, page: r.PathValue("page"), values: r.URL.Query(), revision: d.c.Tag(v.app.Num, v.view)}
	var err error
	if s.today, s.since, err = d.c.Today(v.app.Num); err != nil {
		return s, err
	}
	k, _ := kindOf(s.page)
	from, to := s.values.Get("from"), s.values.Get("to")
	if from != "" || to != "" {
		s.span.To = s.today
		if to != "" {
			if s.span.To, err = collector.ParseDay(to); err != nil {
				return s, fmt.Errorf("%w: %w", errView, err)
			}
		}
		s.span.From = s.span.To - collector.Day(max(k.days, 1)) + 1
		if from != "" {
			if s.span.From, err = collector.ParseDay(from); err != nil {
				return s, fmt.Errorf("%w: %w", errView, err)
			}
		}
		if s.span.To < s.span.From || s.span.To-s.span.From >= collector.MaxRangeDays {
			return s, fmt.Errorf("%w: the range has to begin before it ends, and to have %d days at most", errView, collector.MaxRangeDays)
		}
		return s, nil
	}
	s.days = max(k.days, 1)
	if text := s.values.Get("days"); text != "" {
		if s.days, err = strconv.Atoi(text); err != nil || s.days < 1 || s.days > collector.MaxRangeDays {
			return s, fmt.Errorf("%w: days has to be a number from 1 to %d", errView, collector.MaxRangeDays)
		}
	}
	s.span = collector.Range{From: s.today - collector.Day(s.days) + 1, To: s.today}
	return s, nil
}

// with gives the address of the page with other parameters: pairs of names and values, an empty value for none.
func (v view) with(pairs ...string) string {
	values := url.Values{}
	for name, list := range v.values {
		if len(list) > 0 && (name != "saved") {
			values.Set(name, list[0])
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if values.Del(pairs[i]); pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	return v.path("") + query(values)
}

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

// A kind is one of the pages.
type kind struct {
	id, name string
	need     access.Scope // empty: the public version is possible
	make     func(d *dashboard, r *http.Request, v view, p *pageData) error
	// days is the length of the range when the address names none; 0 for a page without a range.
	days int
}

var kinds []kind

func init() {
	kinds = []kind{
		{"overview", "Overview", "", (*dashboard).overview, 90},
		{"versions", "Versions", "", (*dashboard).versions, 90},
		{"retention", "Retention", "", (*dashboard).retention, 90},
		{"features", "Platforms and features", "", (*dashboard).features, 90},
		{"health", "Health", "", (*dashboard).health, 28},
		{"quality", "Data quality", access.Read, (*dashboard).quality, 90},
		{"settings", "Settings", access.Admin, nil, 0}, // it has a template and data of its own: see showSettings
	}
}

func kindOf(id string) (kind, bool) {
	for _, k := range kinds {
		if k.id == id {
			return k, true
		}
	}
	return kind{}, false
}

// build makes the data of the page that a request asks for. If that is not possible it has answered.
func (d *dashboard) build(w http.ResponseWriter, r *http.Request) (*pageData, view, bool) {
	k, ok := kindOf(r.PathValue("page"))
	if !ok || k.make == nil {
		d.problem(w, r, http.StatusNotFound, "There is no such page.")
		return nil, view{}, false
	}
	who, ok := d.viewer(w, r, k.need)
	if !ok {
		return nil, view{}, false
	}
	v, err := d.read(r, who)
	if err == nil && k.need != access.Admin && d.unchanged(w, r, v) {
		return nil, v, false
	}
	p := &pageData{frame: d.frame(r, k.name), Path: v.path(""), Public: who.view.Public, K: who.hides(), Admin: who.admin}
	if err == nil {
		d.fill(p, v, k)
		err = k.make(d, r, v, p)
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

// sayShorter says where figures are of fewer days than were asked for: the public gets no longer range than a month.
func (v view) sayShorter(p *pageData, what string, r collector.Range) {
	if r.From > v.span.From {
		p.Notice = fmt.Sprintf("%s of the public figures are those from %s to %s (UTC), whatever the range.", what, r.From, r.To)
	}
}

// fill sets what pages have in common.
func (d *dashboard) fill(p *pageData, v view, k kind) {
	for _, other := range kinds {
		if other.need == access.Admin && !v.admin || other.need == access.Read && !v.reads {
			continue
		}
		values := url.Values{}
		for _, name := range []string{"days", "from", "to"} {
			if value := v.values.Get(name); value != "" {
				values.Set(name, value)
			}
		}
		p.Pages = append(p.Pages, link{other.name, "/a/" + v.app.Key + "/" + other.id + query(values), other.id == k.id})
	}
	for i := range p.Apps {
		p.Apps[i].URL += query(v.values)
	}
	p.Saved = v.values.Get("saved") != ""
	if k.days == 0 {
		return
	}
	for _, days := range ranges {
		p.Ranges = append(p.Ranges, choice{
			strconv.Itoa(days) + " days", v.with("days", strconv.Itoa(days), "from", "", "to", ""), v.days == days,
		})
	}
	p.From, p.To = v.span.From.String(), v.span.To.String()
	p.Hidden = v.hidden("days", "from", "to")
}

// hidden gives the state of the page for a form that sets some of it.
func (v view) hidden(but ...string) (all []hidden) {
	for _, name := range slices.Sorted(maps.Keys(v.values)) {
		if values := v.values[name]; len(values) > 0 && name != "saved" && !slices.Contains(but, name) {
			all = append(all, hidden{name, values[0]})
		}
	}
	return all
}

// form makes the form of a panel.
func (v view) form(panel string, selects ...selection) *form {
	var names []string
	for _, s := range selects {
		names = append(names, s.Name)
	}
	return &form{Selects: selects, Hidden: v.hidden(names...), Anchor: panel}
}

// unchanged sets the page's tag, and tells whether the browser has it already.
func (d *dashboard) unchanged(w http.ResponseWriter, r *http.Request, v view) bool {
	grant, _ := d.opts.Access.Grant(r)
	tag := fmt.Sprintf(`W/"%s-%d-%d-%d-%s"`, d.stamp, v.app.Num, v.revision, v.today, hash(grant.Name, r.URL.RequestURI(), fmt.Sprint(d.c.Apps())))
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Cookie, Authorization")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	return false
}

// explain shows a page for an error.
func (d *dashboard) explain(w http.ResponseWriter, r *http.Request, err error) {
	for _, known := range []error{errView, collector.ErrRange, collector.ErrWindow, collector.ErrGrain, collector.ErrDimension, collector.ErrNoDay} {
		if errors.Is(err, known) {
			d.problem(w, r, http.StatusBadRequest, sentence(err.Error()))
			return
		}
	}
	d.log.Warn("Page cannot be made", "error", err.Error())
	d.problem(w, r, http.StatusServiceUnavailable, "The figures cannot be read now. Try again in a moment.")
}

func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// page shows a page.
func (d *dashboard) page(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("page") == "settings" {
		if v, ok := d.viewer(w, r, access.Admin); ok {
			d.showSettings(w, r, v, "")
		}
		return
	}
	p, v, ok := d.build(w, r)
	if !ok {
		return
	}
	if err := d.begin(r, v, p); err != nil {
		d.explain(w, r, err)
		return
	}
	d.render(w, r, http.StatusOK, "page.html", p)
}

// begin replaces the empty panels of an app of which nothing was ever counted by what sends the first heartbeat. The
// quality of the data stays: it says why heartbeats are refused.
func (d *dashboard) begin(r *http.Request, v view, p *pageData) error {
	if reported, err := d.c.Reported(v.app.Num); err != nil || reported || v.page == "quality" {
		return err
	}
	ctx, cancel := withTimeout(r)
	defer cancel()
	all, err := d.c.Series(ctx, v.app.Num, clamp(collector.Range{From: v.since, To: v.today}), v.view)
	if err != nil || !empty(all.Points) {
		return err
	}
	p.Start = &start{d.command(r, v)}
	p.Tiles, p.Choices, p.Panels, p.Ranges = nil, nil, nil, nil
	return nil
}

func empty(points []figures.SeriesPoint) bool {
	for _, point := range points {
		for _, f := range []figures.Count{point.Active.Day, point.Active.Days28, point.InMemory, point.Excluded} {
			if f == nil || *f > 0 {
				return false
			}
		}
	}
	return true
}

// command is what sends a heartbeat to an app.
func (d *dashboard) command(r *http.Request, v view) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return fmt.Sprintf(`curl --json '{"schema":1,"app":"%s","installation_id":"'$(cat /proc/sys/kernel/random/uuid)'",`+
		`"id_persistence":"persisted","sent_at":"'$(date -u +%%Y-%%m-%%dT%%H:%%M:%%SZ)'","version":"1.0.0"}' %s://%s/v1/heartbeat`,
		v.app.Key, scheme, r.Host)
}

// download gives the table of one panel.
func (d *dashboard) download(w http.ResponseWriter, r *http.Request) {
	id, format, _ := strings.Cut(r.PathValue("file"), ".")
	if format != "csv" && format != "json" {
		d.problem(w, r, http.StatusNotFound, "There is no such file.")
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
		var body bytes.Buffer
		var err error
		if format == "csv" {
			w.Header().Set("Content-Type", "text/csv; charset=utf-8")
			err = panel.Table.csv(&body)
		} else {
			w.Header().Set("Content-Type", "application/json")
			err = panel.json(&body, v)
		}
		if err != nil {
			d.explain(w, r, err)
			return
		}
		w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.%s"`, v.app.Key, id, format))
		send(w, r, body.Bytes(), nil)
		return
	}
	d.problem(w, r, http.StatusNotFound, "There is no such file.")
}

func (t table) csv(body *bytes.Buffer) error {
	out := csv.NewWriter(body)
	write := func(cells []string) {
		for i := range cells {
			cells[i] = csvText(cells[i])
		}
		out.Write(cells)
	}
	write(append([]string(nil), t.Head...))
	for _, row := range t.Rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = plain(cell)
		}
		write(cells)
	}
	out.Flush()
	return out.Error()
}

// csvText gives a text as it stands in a cell of a spreadsheet: one that would be taken for a formula gets a quote before
// it. Numbers are left as they are.
func csvText(text string) string {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return text
	}
	return visible(csvcell.Text(text))
}

// json writes the table with what is known of it.
func (p panel) json(body *bytes.Buffer, v view) error {
	rows := make([]map[string]any, 0, len(p.Table.Rows))
	for _, row := range p.Table.Rows {
		object := make(map[string]any, len(row))
		for i, cell := range row {
			if i < len(p.Table.Head) {
				if f, ok := cell.(float64); ok && math.IsNaN(f) {
					cell = nil
				}
				object[p.Table.Head[i]] = cell
			}
		}
		rows = append(rows, object)
	}
	return json.NewEncoder(body).Encode(map[string]any{
		"title": p.Title, "app": v.app.Key, "from": v.span.From, "to": v.span.To, "link": p.Link,
		"as_of": p.Meta.AsOf, "complete": p.Meta.Complete, "denominator": p.Meta.Denominator,
		"denominator_of": p.Meta.DenominatorOf, "suppressed": p.Meta.Suppressed,
		"columns": p.Table.Head, "rows": rows,
	})
}

// plain gives a cell as text without any formatting.
func plain(cell any) string {
	switch c := cell.(type) {
	case figures.Count:
		if c == nil {
			return ""
		}
		return strconv.FormatUint(*c, 10)
	case unknown:
		return ""
	case float64:
		if math.IsNaN(c) {
			return ""
		}
		return strconv.FormatFloat(c, 'f', 4, 64)
	}
	return fmt.Sprint(cell)
}

// figure gives a cell as it stands on a page: numbers in groups of three digits, shares in percent. A figure that is hidden
// from the public since its group is smaller than k says so; k is 0 where nothing is hidden.
func figure(cell any, k int) template.HTML {
	switch c := cell.(type) {
	case figures.Count:
		switch {
		case c != nil:
			return number(*c)
		case k > 0:
			return template.HTML(fmt.Sprintf(`<span class="none">&lt;&nbsp;%d</span>`, k)) //nolint:gosec // a number
		}
		return missing
	case unknown:
		return missing
	case atLeast:
		return "≥&nbsp;" + number(uint64(c))
	case uint64:
		return number(c)
	case int:
		return number(uint64(max(0, c)))
	case float64:
		if math.IsNaN(c) {
			return missing
		}
		return template.HTML(fmt.Sprintf("%.1f&nbsp;%%", c*100)) //nolint:gosec // a number
	case template.HTML:
		return c
	}
	return template.HTML(template.HTMLEscapeString(visible(fmt.Sprint(cell)))) //nolint:gosec // escaped
}

// rows gives the body of a table. A year of days has thousands of cells, for which a template takes long.
func rows(rows [][]any, k int) template.HTML {
	var b strings.Builder
	for _, row := range rows {
		b.WriteString("<tr>")
		for i, cell := range row {
			if i == 0 {
				b.WriteString(`<th scope="row">` + string(figure(cell, k)) + "</th>")
			} else {
				b.WriteString("<td>" + string(figure(cell, k)) + "</td>")
			}
		}
		b.WriteString("</tr>\n")
	}
	return template.HTML(b.String()) //nolint:gosec // figure escapes
}

// visible replaces control characters, which neither a page nor a spreadsheet can show.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

const missing template.HTML = `<span class="none">–</span>`

// say puts cells into a sentence with %s, each as [figure] has it.
func say(format string, cells ...any) template.HTML {
	args := make([]any, len(cells))
	for i, cell := range cells {
		args[i] = figure(cell, 0)
	}
	return template.HTML(fmt.Sprintf(format, args...)) //nolint:gosec // format is a constant, and figure escapes
}

func number(n uint64) template.HTML {
	return template.HTML(`<data value="` + strconv.FormatUint(n, 10) + `">` + grouped(n) + `</data>`) //nolint:gosec // a number
}

// grouped writes a number in groups of three digits.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, r := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// groupedOr writes a figure in a chart.
func groupedOr(f figures.Count) string {
	if f == nil {
		return "–"
	}
	return grouped(*f)
}

// value gives a figure for a chart.
func value(f figures.Count) float64 {
	if f == nil {
		return math.NaN()
	}
	return float64(*f)
}
