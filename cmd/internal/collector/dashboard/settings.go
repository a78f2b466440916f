package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/report"
)

type settingsData struct {
	*pageData
	Settings                  collector.App
	KValue, Retention, MaxNew int
	Tokens                    []access.Token
	NewToken                  string        // shown once
	Releases                  *releasesData // nil without a store of releases
	Alerts                    *alertsData   // nil without alerts
	Notes                     *notesData    // nil without a store of notes
	Embeds                    []embedLine   // for a public app
	Feed                      string        // the address of the feed, without a token
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
	this := slices.IndexFunc(all, func(p page) bool { return p.id == "settings" })
	s := settingsData{
		pageData: d.pageData(r, v, all[this]), Settings: v.app, NewToken: token,
		KValue: v.k(), Retention: cmp.Or(v.app.Retention, collector.DefaultRetention), MaxNew: cmp.Or(v.app.MaxNewPerDay, collector.DefaultMaxNewPerDay),
	}
	s.Embeds, s.Feed = d.embeds(r, v.viewer), d.site(r)+"/api/v1/apps/"+v.app.Key+"/feed.atom"
	tokens, err := d.opts.Access.List(r.Context())
	if err == nil {
		for _, t := range tokens {
			if s.All || t.App == v.app.Key {
				s.Tokens = append(s.Tokens, t)
			}
		}
		s.Alerts, err = d.alerts(r.Context(), v.app.Num)
	}
	if err == nil {
		s.Releases, err = d.releases(r.Context(), v.app.Num)
	}
	if err == nil {
		s.Notes, err = d.notes(r.Context(), v.app.Num)
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
		err = d.changeApp(r, v)
	case "shutdown", "reopen":
		err = d.setGone(r, v, do == "shutdown")
	case "revoke":
		err = d.revoke(r, v)
	case "release":
		err = d.publishRelease(r, v)
	case "release-remove":
		err = d.removeRelease(r, v)
	case "note":
		err = d.addNote(r, v)
	case "note-remove":
		err = d.removeNote(r, v)
	default:
		if err = d.changeAlerts(r, do, v.app.Num); err == nil {
			d.audit(v, audit.AlertsChanged, do)
		}
	}
	switch {
	case err != nil:
		d.problem(w, r, http.StatusBadRequest, sentence(err))
	case token != "":
		d.showSettings(w, r, v, token)
	default:
		http.Redirect(w, r, d.base+"/a/"+v.app.Key+"/settings?saved=1", http.StatusSeeOther)
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
	grant, _ := d.opts.Access.Grant(r)
	d.audit(viewer{app: added, grant: grant, admin: true}, audit.AppAdded, "")
	http.Redirect(w, r, d.base+"/a/"+added.Key+"/overview", http.StatusSeeOther)
}

func (d *dashboard) changeApp(r *http.Request, v viewer) error {
	app := v.app
	app.Name = formText(r, "name")
	app.Public = r.PostFormValue("public") != ""
	app.PublicPairs = r.PostFormValue("public_pairs") != ""
	app.VersionOrder = report.VersionOrder(r.PostFormValue("version_order"))
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
	if err := d.c.UpdateApp(r.Context(), app); err != nil {
		return err
	}
	d.audit(v, audit.AppChanged, audit.Changed(v.app, app))
	return nil
}

// setGone shuts an app down, if the reader has confirmed that, or takes it back.
func (d *dashboard) setGone(r *http.Request, v viewer, gone bool) error {
	if gone && formText(r, "confirm") != v.app.Key {
		return fmt.Errorf("type %q to confirm that the app is shut down", v.app.Key)
	}
	app := v.app
	app.Gone = gone
	if err := d.c.UpdateApp(r.Context(), app); err != nil {
		return err
	}
	d.audit(v, audit.AppChanged, audit.Changed(v.app, app))
	return nil
}

// addToken makes a token for the app. An admin of all apps may make one for all
// of them.
func (d *dashboard) addToken(r *http.Request, v viewer) (string, error) {
	app := v.app.Key
	if r.PostFormValue("all") != "" {
		if !d.mayAll(r) {
			return "", errors.New("a token for one app cannot create a token for all apps")
		}
		app = ""
	}
	return d.opts.Access.Add(r.Context(), v.grant, formText(r, "name"), access.Scope(r.PostFormValue("scope")), app)
}

func (d *dashboard) revoke(r *http.Request, v viewer) error {
	app := r.PostFormValue("app")
	if app != v.app.Key && !d.mayAll(r) {
		return access.ErrNoToken
	}
	return d.opts.Access.Revoke(r.Context(), v.grant, app, r.PostFormValue("name"))
}
