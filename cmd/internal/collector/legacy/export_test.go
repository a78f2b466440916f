package legacy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// FieldTable returns the table of the fields in docs/legacy.md.
func FieldTable() string {
	type row struct{ group, keys, counted string }
	var rows []row
	for _, f := range fields {
		key, counted := "`"+f.key+"`", f.format.text
		if f.olderGroup != "" {
			counted += "; older clients have it in `" + f.olderGroup + "`"
		}
		i := slices.IndexFunc(rows, func(r row) bool { return r.group == f.group && r.counted == counted })
		if i < 0 {
			rows = append(rows, row{f.group, key, counted})
		} else {
			rows[i].keys += ", " + key
		}
	}
	var b strings.Builder
	for _, r := range rows {
		b.WriteString("| `" + r.group + "` | " + r.keys + " | " + r.counted + " |\n")
	}
	return b.String()
}

// FactNames returns the names of all facts.
func FactNames() (names []string) {
	for _, f := range fields {
		names = append(names, f.name())
	}
	return append(names, imageFact)
}

// CheckReports checks that an object converts to valid reports, except that they
// may not say when they were made.
func CheckReports(o map[string]any) error {
	id := InstallationID(object(o).text("installation_id"))
	if id == "" {
		return nil
	}
	h, _ := heartbeatOf(o, "app", id)
	h.SentAt = cmp.Or(h.SentAt, time.Unix(0, 0))
	if err := h.Validate(); err != nil {
		return err
	}
	list, _ := o["issues"].([]any)
	r, n := healthOf(o, list, collector.App{Key: "app"}, id, time.Now())
	if n == 0 {
		return nil
	}
	for _, events := range r.Events {
		if len(events) > collector.MaxEvents {
			return fmt.Errorf("%d events", len(events))
		}
	}
	r.Report.SentAt = cmp.Or(r.Report.SentAt, time.Unix(0, 0))
	return r.Report.Validate()
}
