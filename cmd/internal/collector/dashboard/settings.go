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

// settingsData is the settings page.
type settingsData struct {
	*pageData
	Settings                  collector.App
	KValue, Retention, MaxNew int
	Tokens                    []access.Token
	NewToken                  string      // shown once
	Alerts                    *alertsData // nil without alerts
	All                       bool        // the token is for all apps
	Limits                    map[string]int
}

func (d *dashboard) showSettings(w http.ResponseWriter, r *http.Request, v viewer, token string) {
	w.Header().Set("Cache-Control", "no-store")
	view, err := d.read(r, v)
	if err != nil {
		d.explain(w, r, err)
		return
	}
	view.page = "settings"
	k, _ := kindOf("settings")
	p := &pageData{frame: d.frame(r, k.name), Path: view.path(""), Admin: true}
	d.fill(p, view, k)
	s := settingsData{
		pageData: p, Settings: v.app, NewToken: token,
		KValue: v.k(), Retention: cmp.Or(v.app.Retention, collector.DefaultRetention), MaxNew: cmp.Or(v.app.MaxNewPerDay, collector.DefaultMaxNewPerDay),
		Limits: map[string]int{"MaxK": collector.MaxK, "MinRetention": collector.MinRetention, "MaxRetention": collector.MaxRetention, "MaxName": collector.MaxAppNameLen},
	}
	grant, _ := d.opts.Access.Grant(r)
	s.All = grant.May("", access.Admin)
	tokens, err := d.opts.Access.List(r.Context())
	if err == nil {
		for _, t := range tokens {
			if grant.May("", access.Admin) || t.App == v.app.Key {
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

// postSettings changes one thing.
func (d *dashboard) postSettings(w http.ResponseWriter, r *http.Request) {
	v, ok := d.viewer(w, r, access.Admin)
	if !ok {
		return
	}
	var err error
	switch do := r.PostFormValue("do"); do {
	case "app":
		err = d.changeApp(r, v.app)
	case "token":
		var token string
		if token, err = d.addToken(r, v); err == nil {
			d.showSettings(w, r, v, token)
			return
		}
	case "revoke":
		err = d.revoke(r, v)
	default:
		var known bool
		if known, err = d.postAlerts(r, do, v.app.Num); !known {
			err = errors.New("nothing to do was named")
		}
	}
	if err != nil {
		d.problem(w, r, http.StatusBadRequest, sentence(err.Error()))
		return
	}
	http.Redirect(w, r, "/a/"+v.app.Key+"/settings?saved=1", http.StatusSeeOther)
}

// postApp adds an app, and leads to its page.
func (d *dashboard) postApp(w http.ResponseWriter, r *http.Request) {
	if grant, _ := d.opts.Access.Grant(r); !grant.May("", access.Admin) {
		d.problem(w, r, http.StatusForbidden, "Only an admin token for all apps can add one.")
		return
	}
	added, err := d.c.AddApp(r.Context(), collector.App{Key: formText(r, "key"), Name: formText(r, "name")})
	if err != nil {
		d.problem(w, r, http.StatusBadRequest, sentence(err.Error()))
		return
	}
	http.Redirect(w, r, "/a/"+added.Key+"/overview", http.StatusSeeOther)
}

func (d *dashboard) changeApp(r *http.Request, app collector.App) error {
	app.Name = formText(r, "name")
	app.Public = r.PostFormValue("public") != ""
	app.Gone = r.PostFormValue("gone") != ""
	app.ExcludeDevelopment = r.PostFormValue("exclude_development") != ""
	for name, field := range map[string]*int{"k": &app.K, "retention": &app.Retention, "max_new": &app.MaxNewPerDay} {
		n, err := strconv.Atoi(r.PostFormValue(name))
		if err != nil {
			return fmt.Errorf("%s is not a number", name)
		}
		*field = n
	}
	return d.c.UpdateApp(r.Context(), app)
}

// addToken makes a token for the app; who may do all may make one for all.
func (d *dashboard) addToken(r *http.Request, v viewer) (string, error) {
	scope := access.Scope(r.PostFormValue("scope"))
	if scope != access.Read && scope != access.Admin {
		return "", fmt.Errorf("scope %q is not read or admin", scope)
	}
	app := v.app.Key
	if r.PostFormValue("all") != "" {
		if grant, ok := d.opts.Access.Grant(r); !ok || !grant.May("", access.Admin) {
			return "", errors.New("your token is for one app, so it cannot make one for all")
		}
		app = ""
	}
	return d.opts.Access.Add(r.Context(), formText(r, "name"), scope, app)
}

func (d *dashboard) revoke(r *http.Request, v viewer) error {
	name := r.PostFormValue("name")
	grant, _ := d.opts.Access.Grant(r)
	tokens, err := d.opts.Access.List(r.Context())
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.Name == name && (t.App == v.app.Key || grant.May("", access.Admin)) {
			return d.opts.Access.Revoke(r.Context(), name)
		}
	}
	return access.ErrNoToken
}
