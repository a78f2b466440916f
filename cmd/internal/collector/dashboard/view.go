package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A view is the state of a page, as its address says it.
type view struct {
	viewer
	base   string // the path of Options.BaseURL
	page   string
	span   collector.Range // the window; see window.go
	upTo   collector.Day   // the last day that the reader asked for, today at most
	length int             // in days; 0 if the address names the first day or the last
	today  collector.Day
	since  collector.Day // the first day of the app
	values url.Values
	ghost  *ghost // what charts are compared with; nil for nothing
}

// ranges are the lengths that a reader can choose, in days.
var ranges = []int{7, 28, 90, 400}

// errSpan is the error of an address with an impossible date range.
var errSpan = errors.New("invalid date range")

// view reads the view of a request. length is the usual range in days.
func (d *dashboard) view(r *http.Request, who viewer, length int) (view, error) {
	v := view{viewer: who, base: d.base, page: r.PathValue("page"), values: r.URL.Query()}
	var err error
	if v.today, v.since, err = d.c.Today(v.app.Num); err != nil {
		return v, err
	}
	day := func(name string) (day collector.Day) {
		if text := v.values.Get(name); text != "" && err == nil {
			var parseErr error
			if day, parseErr = collector.ParseDay(text); parseErr != nil {
				err = fmt.Errorf("%w: %w", errSpan, parseErr)
			}
		}
		return day
	}
	from, to := day("from"), day("to")
	if err == nil && from == 0 && to == 0 {
		v.length = max(length, 1)
		if text := v.values.Get("days"); text != "" {
			if v.length, err = strconv.Atoi(text); err != nil || v.length < 1 || v.length > collector.MaxRangeDays {
				return v, fmt.Errorf("%w: days must be a number from 1 to %d", errSpan, collector.MaxRangeDays)
			}
		}
		length = v.length
	}
	if err != nil {
		return v, err
	}
	if from != 0 && to != 0 && from > to {
		from, to = to, from // as meant
	}
	last, err := d.lastClosed(r.Context(), v)
	if err != nil {
		return v, err
	}
	v.upTo = min(cmp.Or(to, v.today), v.today)
	v.span.To = min(v.upTo, last)
	v.span.From = cmp.Or(from, v.span.To-collector.Day(max(length, 1))+1)
	if v.span.From > v.span.To { // such as today only
		v.span.To = max(v.upTo, v.span.From)
	}
	if v.span.To-v.span.From >= collector.MaxRangeDays {
		return v, fmt.Errorf("%w: it must have at most %d days", errSpan, collector.MaxRangeDays)
	}
	if v.sees.Public { // at least the last window
		v.span.From = max(min(v.span.From, collector.LastPublicDay(v.lastDay())), v.span.To-collector.MaxRangeDays+1)
		v.upTo = v.span.To
	}
	v.ghost, err = v.readGhost()
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

// daysFrom returns the address of the page for the days from one on, as many as a
// page can show.
func (v view) daysFrom(day collector.Day) string {
	return v.with("days", "", "from", max(day, v.today-collector.MaxRangeDays+1).String(), "to", "")
}

// path returns the path of the page, or of a file of it.
func (v view) path(file string) string {
	p := v.base + "/a/" + v.app.Key + "/" + v.page
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
	row := choiceRow{Name: label, Menu: len(values) > 4}
	for _, value := range values {
		row.Choices = append(row.Choices, link{visible(value), v.with(name, value), value == current})
	}
	return row
}

// A frame surrounds every page: its head, navigation and foot.
type frame struct {
	Title    string
	Site     string
	Version  string
	SignedIn string // the name of the token, empty for the public
	Apps     []link
	App      string
	AppName  string
	Pages    []link
	Problem  string
	Without  string // the address of the page without what was wrong
	Next     string // where to go after signing in
	All      bool   // the reader is an admin of all apps
	Card     *card  // of a public app
	Firing   int    // how many alerts of the app fire
}

// A link leads to another view of the site.
type link struct {
	Name, URL string
	Current   bool
}

func (d *dashboard) frame(r *http.Request, title string) frame {
	f := frame{Title: title, Site: d.opts.Title, Version: d.opts.Version}
	grant, signedIn := d.opts.Access.Grant(r)
	if signedIn {
		f.SignedIn, f.All = grant.Name, grant.May("", access.Admin)
	}
	page := cmp.Or(r.PathValue("page"), "overview")
	for _, app := range d.c.Apps() {
		if !app.Public && !grant.May(app.Key, access.Read) {
			continue
		}
		name, current := cmp.Or(app.Name, app.Key), app.Key == r.PathValue("app")
		f.Apps = append(f.Apps, link{name, d.base + "/a/" + app.Key + "/" + page, current})
		if current {
			f.App, f.AppName = app.Key, name
		}
	}
	return f
}

// home leads to the first app that the reader may see.
func (d *dashboard) home(w http.ResponseWriter, r *http.Request) {
	f := d.frame(r, "No app yet")
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case len(f.Apps) > 0:
		http.Redirect(w, r, f.Apps[0].URL, http.StatusFound)
	case f.SignedIn != "":
		d.render(w, r, http.StatusOK, "noapp.html", f)
	default:
		http.Redirect(w, r, d.base+"/signin", http.StatusFound)
	}
}

// A viewer is the reader of an app's pages.
type viewer struct {
	app          collector.App
	grant        access.Grant // the zero value without a token
	sees         figures.View
	reads, admin bool
}

func (v viewer) k() int { return cmp.Or(v.app.K, collector.DefaultK) }

// hides returns the size below which groups are hidden from the reader; 0 if
// none are.
func (v viewer) hides() int {
	if v.sees.Public {
		return v.k()
	}
	return 0
}

// viewer finds the app of a request and what its reader may see. need is the
// scope that the page requires, or empty if the public may see it. If the
// reader may not see the page, viewer answers the request and returns false.
func (d *dashboard) viewer(w http.ResponseWriter, r *http.Request, need access.Scope) (v viewer, ok bool) {
	key := r.PathValue("app")
	app, found := d.c.App(key)
	grant, signedIn := d.opts.Access.Grant(r)
	v = viewer{app: app, grant: grant, admin: signedIn && grant.May(key, access.Admin), reads: signedIn && grant.May(key, access.Read)}
	switch {
	case found && need == access.Admin && v.admin, found && need == access.Read && v.reads:
		return v, true
	case found && need == "" && (v.reads || app.Public):
		if !v.reads {
			v.sees = figures.PublicView(app)
		}
		return v, true
	case signedIn:
		d.problem(w, r, http.StatusNotFound, "Page not found, or your token has no access to it.")
	default:
		http.Redirect(w, r, d.base+"/signin?next="+template.URLQueryEscaper(r.URL.RequestURI()), http.StatusFound)
	}
	return v, false
}

// change returns a handler that lets an admin change something about an app.
// It leads on to the page next, which says that the change is saved. The field
// of the form, if there is one, names what is changed.
func (d *dashboard) change(do func(*http.Request, viewer) error, action audit.Action, field, next string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, ok := d.viewer(w, r, access.Admin)
		if !ok {
			return
		}
		if err := do(r, v); err != nil {
			d.problem(w, r, http.StatusBadRequest, sentence(err))
			return
		}
		detail := ""
		if field != "" {
			detail = r.PostFormValue(field)
		}
		d.audit(v, action, detail)
		http.Redirect(w, r, d.base+"/a/"+v.app.Key+"/"+next, http.StatusSeeOther)
	}
}

func (d *dashboard) signInPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	d.showSignIn(w, r, http.StatusOK, next(r.URL.Query().Get("next")), "")
}

// next returns the path to go to after signing in, which is always on this site.
func next(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

func (d *dashboard) signIn(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	to := next(r.PostFormValue("next"))
	err := d.opts.Access.SignIn(w, r, strings.TrimSpace(r.PostFormValue("token")))
	if err == nil {
		http.Redirect(w, r, d.base+to, http.StatusSeeOther)
		return
	}
	status, text := http.StatusServiceUnavailable, "Tokens cannot be checked right now. Try again in a moment."
	_, tooMany := errors.AsType[*access.WaitError](err)
	switch {
	case errors.Is(err, access.ErrWrongToken):
		status, text = http.StatusForbidden, "Unknown token."
	case tooMany:
		status, text = http.StatusTooManyRequests, "Too many failed attempts from your address. Try again later."
	default:
		d.log.Warn("Sign-in failed", "error", err.Error())
	}
	d.showSignIn(w, r, status, to, text)
}

func (d *dashboard) showSignIn(w http.ResponseWriter, r *http.Request, status int, next, problem string) {
	f := d.frame(r, "Sign in")
	f.Next, f.Problem = next, problem
	d.render(w, r, status, "signin.html", f)
}

func (d *dashboard) signOut(w http.ResponseWriter, r *http.Request) {
	if err := d.opts.Access.SignOut(w, r); err != nil {
		d.log.Warn("Sign-out failed", "error", err.Error())
	}
	http.Redirect(w, r, d.base+"/", http.StatusSeeOther)
}
