package dashboard

import (
	"cmp"
	"context"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// audit notes what a reader did with an app. A token of another app is nobody
// here: this app's admins must not learn its name.
func (d *dashboard) audit(v viewer, action audit.Action, detail string) {
	actor := audit.Nobody
	if v.reads || v.admin {
		actor = v.grant.Name
	}
	d.opts.Audit.Add(audit.Entry{Action: action, Actor: actor, App: v.app.Key, Detail: detail})
}

// auditLog shows the entries of the range: those of the app, and to an admin of
// all apps those of the whole collector too.
func (d *dashboard) auditLog(ctx context.Context, v view, p *pageData) error {
	app := v.app.Key
	if v.grant.May("", access.Admin) {
		app = ""
	}
	entries, err := d.opts.Audit.Entries(ctx, app)
	if err != nil {
		return err
	}
	log := panel{
		ID: "audit", Title: "Audit log", Wide: true, Open: true,
		Table: table.Table{Columns: []string{"time (UTC)", "who", "action", "app", "detail", "repeats"}},
		Explain: htmlf("Sign-ins, refused tokens, changes, deletions, exports, and floods, without addresses and installation IDs. "+
			"The log keeps the latest %s entries.", number(audit.MaxEntries)),
	}
	for _, e := range entries {
		if day := collector.DayOf(e.Time); day < v.drawn().From || day > v.drawn().To {
			continue
		}
		repeats := ""
		if e.Count > 0 {
			repeats = strconv.Itoa(e.Count)
		}
		log.Table.Add(e.Time.Format("2006-01-02 15:04:05"), e.Actor, string(e.Action), cmp.Or(e.App, "all"), e.Detail, repeats)
	}
	if len(log.Table.Rows) == 0 {
		log.Empty = "Nothing happened in this range."
	}
	p.Panels = []panel{log}
	return nil
}
