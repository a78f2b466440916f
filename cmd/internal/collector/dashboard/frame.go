package dashboard

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

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
	Next     string // where to go after signing in
	All      bool   // the reader is an admin of all apps
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
		f.Apps = append(f.Apps, link{name, "/a/" + app.Key + "/" + page, current})
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
		http.Redirect(w, r, "/signin", http.StatusFound)
	}
}

// A viewer is the reader of an app's pages.
type viewer struct {
	app          collector.App
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
	v = viewer{app: app, admin: signedIn && grant.May(key, access.Admin), reads: signedIn && grant.May(key, access.Read)}
	switch {
	case found && need == access.Admin && v.admin, found && need == access.Read && v.reads:
		return v, true
	case found && need == "" && (v.reads || app.Public):
		if !v.reads {
			v.sees = figures.View{Public: true, K: app.K}
		}
		return v, true
	case signedIn:
		d.problem(w, r, http.StatusNotFound, "Page not found, or your token has no access to it.")
	default:
		http.Redirect(w, r, "/signin?next="+template.URLQueryEscaper(r.URL.RequestURI()), http.StatusFound)
	}
	return v, false
}

// change returns a handler with which an admin changes something about an app.
// It leads on to the page next, which says that the change is saved.
func (d *dashboard) change(do func(*http.Request, viewer) error, next string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, ok := d.viewer(w, r, access.Admin)
		if !ok {
			return
		}
		if err := do(r, v); err != nil {
			d.problem(w, r, http.StatusBadRequest, sentence(err))
			return
		}
		http.Redirect(w, r, "/a/"+v.app.Key+"/"+next, http.StatusSeeOther)
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
		http.Redirect(w, r, to, http.StatusSeeOther)
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
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
