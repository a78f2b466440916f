package alert_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
)

// A store from before faults had their name keeps its rules, and what fires for
// them does not fire anew.
func TestOldFaultRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		const finding = "camera: decode affects more installations of 2.0"
		r.f.settings["1alerts"] = []byte(`{"rules":[{"kind":"issue_rate","percent":50}],"webhooks":[{"url":"https://hook.example/in"}]}`)
		r.f.settings["1alerts.state"] = []byte(`{"firing":{"issue_rate 50 0  0\u0000decode 2.0":{"text":"` + finding + `","since":"1999-12-31T00:00:00Z"}},` +
			`"last":{"id":"1","app":"app","kind":"issue_rate","state":"firing","text":"` + finding + `","at":"1999-12-31T00:00:00Z"}}`)
		c, err := r.w.Config(t.Context(), 1)
		if err != nil || len(c.Rules) != 1 || c.Rules[0].Kind != "fault_rate" {
			t.Fatalf("got %+v, %v, want a rule of the kind fault_rate", c, err)
		}
		versions, order := map[string]uint64{"2.0": 500, "1.0": 500}, []string{"2.0", "1.0"}
		r.f.releases(versions, order, map[string]map[string]uint64{"decode": {"2.0": 50}})
		r.run(11 * time.Minute)
		r.wants("the fault still fires", "")
		if got := r.status(); !strings.HasPrefix(got, "Since 1999-12-31 00:00 UTC: "+finding) {
			t.Errorf("got status %q", got)
		}
		r.f.releases(versions, order, nil)
		r.run(6 * time.Minute)
		if len(r.b.got) != 1 || r.b.got[0].Kind != "fault_rate" || r.b.got[0].State != alert.Resolved {
			t.Errorf("got %+v, want the alert resolved", r.b.got)
		}
		r.wants("resolved", "resolved Resolved: "+finding)
		if got := string(r.f.settings["1alerts.state"]); strings.Contains(got, "issue_rate") {
			t.Errorf("stored %s, want the new name", got)
		}
	})
}
