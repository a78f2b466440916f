package keeper_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestStatusJSON holds the JSON that agents and the tools of operators parse.
func TestStatusJSON(t *testing.T) {
	tests := []struct {
		name string
		set  func(*rig)
		want string
	}{
		{"persisted", func(*rig) {}, `{
  "installation_id": "ID",
  "settled": true,
  "persisted": true,
  "provisional": false,
  "incomplete": false,
  "place": "config /srv/app/config.json, key telemetry.installation_id",
  "attempts": 1,
  "next_try": "TIME"
}`},
		{"read-only", func(r *rig) { r.fs.Chmod(configPath, 0o444) }, `{
  "installation_id": "ID",
  "settled": true,
  "persisted": false,
  "provisional": false,
  "incomplete": false,
  "place": "config /srv/app/config.json, key telemetry.installation_id",
  "reason": "save installation ID: check config /srv/app/config.json: file is read-only: mode 0444",
  "attempts": 1,
  "last_error": "save installation ID: check config /srv/app/config.json: file is read-only: mode 0444",
  "last_error_time": "2000-01-01T00:00:00Z",
  "next_try": "TIME"
}`},
		{"hung", func(r *rig) { r.fs.Inject(faultfs.Rule{Op: faultfs.OpOpen, Hang: true}) }, `{
  "installation_id": "ID",
  "settled": true,
  "persisted": false,
  "provisional": true,
  "incomplete": false,
  "place": "config /srv/app/config.json, key telemetry.installation_id",
  "reason": "ERROR",
  "attempts": 3,
  "last_error": "ERROR",
  "last_error_time": "2000-01-01T00:00:18Z",
  "stuck_operation": "read",
  "stuck_since": "2000-01-01T00:00:00Z"
}`},
		{"anchor only", func(r *rig) {
			r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
			r.fs.WriteFile(configPath, []byte("{"), 0o640)
		}, `{
  "installation_id": "ID",
  "settled": true,
  "persisted": true,
  "provisional": false,
  "incomplete": true,
  "place": "anchor /srv/app/.config.json.installation-id",
  "reason": "read config /srv/app/config.json: line 1, column 2: unexpected end of file",
  "attempts": 2,
  "last_error": "read config /srv/app/config.json: line 1, column 2: unexpected end of file",
  "last_error_time": "2000-01-01T00:00:00.225Z",
  "next_try": "TIME"
}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				tt.set(r)
				k := r.start()
				time.Sleep(time.Second)
				synctest.Wait()
				st := k.Status()
				data, err := json.MarshalIndent(st.Status, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				got := strings.NewReplacer(
					`"`+st.ID.String()+`"`, `"ID"`,
					`"`+st.NextTry.Format(time.RFC3339Nano)+`"`, `"TIME"`,
				).Replace(faultfs.Slashed(string(data)))
				if st.Stuck != "" {
					got = strings.ReplaceAll(got, `"`+faultfs.Slashed(st.LastError)+`"`, `"ERROR"`)
				}
				if got != tt.want {
					t.Errorf("got\n%s\nwant\n%s", got, tt.want)
				}
				if strings.Contains(got, "Enabled") || strings.Contains(got, "Unread") {
					t.Error("shows what is not for showing")
				}
			})
		})
	}
}
