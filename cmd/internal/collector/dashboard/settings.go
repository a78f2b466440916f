package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
)

type settingsData struct {
	*pageData
	Settings                  collector.App
	KValue, Retention, MaxNew int
	Tokens                    []access.Token
	NewToken                  string      // shown once
	Alerts                    *alertsData // nil without alerts
}

func (d *dashboard) settingsPage(w http.ResponseWriter, r *http.Request) {
	if v, ok := d.viewer(w, r, access.Admin); ok {
		d.showSettings(w, r, v, "")
	}
}

// showSettings shows the settings, and a token that was just made.
func (d *dashboard) showSettings(w http.ResponseWriter, r *http.Request, who viewer, token string) {
	w.Header().Set("Cache-Control", "no-store")
	r.SetPathValue("page", "settings")
	v, err := d.view(r, who, 0)
	if err != nil {
		d.explain(w, r, err)
		return
	}
	all := pages()
	s := settingsData{
		pageData: d.pageData(r, v, all[len(all)-1]), Settings: v.app, NewToken: token,
		KValue: v.k(), Retention: cmp.Or(v.app.Retention, collector.DefaultRetention), MaxNew: cmp.Or(v.app.MaxNewPerDay, collector.DefaultMaxNewPerDay),
	}
	tokens, err := d.opts.Access.List(r.Context())
	if err == nil {
		for _, t := range tokens {
			if s.All || t.App == v.app.Key {
				s.Tokens = append(s.Tokens, t)
			}
		}
		s.Alerts, err = d.alerts(r.Context(), v.app.Num)
	}
	if err != nil {
		d.explain(w, r, err)
		return
	}
	d.render(w, r, http.StatusOK, "settings.html", s)
}

// mayAll reports whether the reader is an admin of all apps.
func (d *dashboard) mayAll(r *http.Request) bool {
	grant, ok := d.opts.Access.Grant(r)
	return ok && grant.May("", access.Admin)
}

// postSettings changes one thing. A new token is shown at once, since it is
// never shown again.
func (d *dashboard) postSettings(w http.ResponseWriter, r *http.Request) {
	v, ok := d.viewer(w, r, access.Admin)
	if !ok {
		return
	}
	var token string
	var err error
	switch do := r.PostFormValue("do"); do {
	case "token":
		token, err = d.addToken(r, v)
	case "app":
		err = d.changeApp(r, v.app)
	case "revoke":
		err = d.revoke(r, v)
	default:
		err = d.changeAlerts(r, do, v.app.Num)
	}
	switch {
	case err != nil:
		d.problem(w, r, http.StatusBadRequest, sentence(err))
	case token != "":
		d.showSettings(w, r, v, token)
	default:
		http.Redirect(w, r, "/a/"+v.app.Key+"/settings?saved=1", http.StatusSeeOther)
	}
}

func (d *dashboard) postApp(w http.ResponseWriter, r *http.Request) {
	if !d.mayAll(r) {
		d.problem(w, r, http.StatusForbidden, "Only an admin token for all apps can add an app.")
		return
	}
	added, err := d.c.AddApp(r.Context(), collector.App{Key: formText(r, "key"), Name: formText(r, "name")})
	if err != nil {
		d.problem(w, r, http.StatusBadRequest, sentence(err))
		return
	}
	http.Redirect(w, r, "/a/"+added.Key+"/overview", http.StatusSeeOther)
}

func (d *dashboard) changeApp(r *http.Request, app collector.App) error {
	app.Name = formText(r, "name")
	app.Public = r.PostFormValue("public") != ""
	app.Gone = r.PostFormValue("gone") != ""
	app.ExcludeDevelopment = r.PostFormValue("exclude_development") != ""
	for _, number := range []struct {
		name, label string
		field       *int
	}{
		{"k", "smallest public group", &app.K}, {"retention", "days until deletion", &app.Retention},
		{"max_new", "new installations per day", &app.MaxNewPerDay},
	} {
		n, err := strconv.Atoi(r.PostFormValue(number.name))
		if err != nil {
			return fmt.Errorf("%s: not a number", number.label)
		}
		*number.field = n
	}
	return d.c.UpdateApp(r.Context(), app)
}

// addToken makes a token for the app. An admin of all apps may make one for all
// of them.
func (d *dashboard) addToken(r *http.Request, v viewer) (string, error) {
	scope := access.Scope(r.PostFormValue("scope"))
	if scope != access.Read && scope != access.Admin {
		return "", fmt.Errorf("invalid scope %q: use read or admin", scope)
	}
	app := v.app.Key
	if r.PostFormValue("all") != "" {
		if !d.mayAll(r) {
			return "", errors.New("a token for one app cannot create a token for all apps")
		}
		app = ""
	}
	return d.opts.Access.Add(r.Context(), formText(r, "name"), scope, app)
}

func (d *dashboard) revoke(r *http.Request, v viewer) error {
	name := r.PostFormValue("name")
	tokens, err := d.opts.Access.List(r.Context())
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.Name == name && (t.App == v.app.Key || d.mayAll(r)) {
			return d.opts.Access.Revoke(r.Context(), name)
		}
	}
	return access.ErrNoToken
}
