package idstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

func openRecords(t *testing.T, d *faultfs.FS, l idstore.Location) idstore.Records {
	t.Helper()
	records, err := abs(l).OpenRecords(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

const state = `{"last": 1}`

// TestRecordPlaces: where the decisions and the state are kept.
func TestRecordPlaces(t *testing.T) {
	tests := []struct {
		name         string
		location     idstore.Location
		config, file string
	}{
		{"config", location, configPath, "/srv/app/.config.json.rollcall-state"},
		{"config, separate anchor", apart, configPath, "/var/lib/app/.config.json.rollcall-state"},
		{"state file", idstore.Location{StateFile: "/var/lib/app/id"}, "/var/lib/app/consent.json", "/var/lib/app/.id.rollcall-state"},
		{"host functions", idstore.Location{AnchorDir: "/var/lib/app"}, "/var/lib/app/consent.json", "/var/lib/app/.installation.rollcall-state"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := faultfs.New()
			d.MkdirAll("/srv/app", 0o755)
			records, ctx := openRecords(t, d, tt.location), t.Context()
			if _, err := records.LoadNote(ctx, idstore.StateNote); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got error %v before anything was saved", err)
			}
			if err := records.SaveNote(ctx, idstore.StateNote, []byte(state)); err != nil {
				t.Error(err)
			}
			if got, err := records.LoadNote(ctx, idstore.StateNote); string(got) != state || err != nil {
				t.Errorf("got state %q, %v", got, err)
			}
			if got, _ := d.ReadFile(tt.file); string(got) != state+"\n" {
				t.Errorf("got %q in %s; files: %q", got, tt.file, d.Files())
			}
			host, hostFile := `{"facts":{}}`, strings.Replace(tt.file, "-state", "-host", 1)
			if err := records.SaveNote(ctx, idstore.HostNote, []byte(host)); err != nil {
				t.Error(err)
			}
			if got, err := records.LoadNote(ctx, idstore.HostNote); string(got) != host || err != nil {
				t.Errorf("got %q, %v, of what the host set", got, err)
			}
			if got, _ := d.ReadFile(hostFile); string(got) != host+"\n" {
				t.Errorf("got %q in %s; files: %q", got, hostFile, d.Files())
			}
			updates, updatesFile := `{"seed":"1"}`, strings.Replace(tt.file, "-state", "-updates", 1)
			if err := records.SaveNote(ctx, idstore.UpdateNote, []byte(updates)); err != nil {
				t.Error(err)
			}
			if got, err := records.LoadNote(ctx, idstore.UpdateNote); string(got) != updates || err != nil {
				t.Errorf("got %q, %v, of newer releases", got, err)
			}
			if got, _ := d.ReadFile(updatesFile); string(got) != updates+"\n" {
				t.Errorf("got %q in %s; files: %q", got, updatesFile, d.Files())
			}
			for note, most := range map[idstore.Note]int{idstore.HostNote: 16 << 10, idstore.UpdateNote: 4 << 10} {
				if err := records.SaveNote(ctx, note, make([]byte, most+1)); err == nil {
					t.Errorf("note %d: more than %d bytes were kept", note, most)
				}
			}
			if err := records.WriteValue(ctx, enabledKey, "true"); err != nil {
				t.Error(err)
			}
			if got, _ := d.ReadFile(tt.config); !strings.Contains(string(got), `"enabled": true`) {
				t.Errorf("got %q in %s", got, tt.config)
			}
			decisions := records.ReadDecisions(ctx, []jsonedit.Key{enabledKey, {"none"}}, nil)
			if v := decisions.Config; decisions.ConfigErr != nil || len(v) != 2 || v[0] != yes || v[1] != (jsonedit.Value{}) {
				t.Errorf("got %+v", decisions)
			}
		})
	}
}

// TestNoPlace: a host that keeps the ID itself may have no place for records.
func TestNoPlace(t *testing.T) {
	records, ctx := openRecords(t, faultfs.New(), idstore.Location{}), t.Context()
	if _, err := records.LoadNote(ctx, idstore.StateNote); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadNote: got error %v", err)
	}
	if err := records.SaveNote(ctx, idstore.StateNote, []byte(state)); !errors.Is(err, idstore.ErrNoPlace) {
		t.Errorf("SaveNote: got error %v", err)
	}
	if _, err := records.LoadNote(ctx, idstore.HostNote); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadNote: got error %v", err)
	}
	if err := records.SaveNote(ctx, idstore.HostNote, []byte(state)); !errors.Is(err, idstore.ErrNoPlace) {
		t.Errorf("SaveNote: got error %v", err)
	}
	if err := records.WriteValue(ctx, enabledKey, "true"); !errors.Is(err, idstore.ErrNoPlace) {
		t.Errorf("WriteValue: got error %v", err)
	}
	d := records.ReadDecisions(ctx, []jsonedit.Key{enabledKey}, []jsonedit.Key{enabledKey, idKey})
	if len(d.Config) != 1 || len(d.Policy) != 2 || d.ConfigErr != nil || d.PolicyErr != nil {
		t.Errorf("got %+v", d)
	}
	if op, since := records.Running(); op != "" || !since.IsZero() {
		t.Errorf("got %q in flight since %v", op, since)
	}
}

// TestSaveStateBesideReadOnlyConfig: nothing is written next to a read-only
// config, as for the anchor.
func TestSaveStateBesideReadOnlyConfig(t *testing.T) {
	for _, l := range []idstore.Location{location, apart} {
		d := disk(withoutID, "")
		d.Chmod(configPath, 0o444)
		err := openRecords(t, d, l).SaveNote(t.Context(), idstore.StateNote, []byte(state))
		if (err == nil) != (l.AnchorDir != "") {
			t.Errorf("AnchorDir %q: got error %v", l.AnchorDir, err)
		}
		if hostErr := openRecords(t, d, l).SaveNote(t.Context(), idstore.HostNote, []byte(state)); (hostErr == nil) != (err == nil) {
			t.Errorf("AnchorDir %q: got error %v for what the host set", l.AnchorDir, hostErr)
		}
		if want := "nothing is written beside the config: "; err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
	// The state of a state file is not next to a config of the host.
	d := faultfs.New()
	d.WriteFile("/var/lib/app/consent.json", []byte("{}"), 0o444)
	if err := openRecords(t, d, idstore.Location{StateFile: "/var/lib/app/id"}).SaveNote(t.Context(), idstore.StateNote, []byte(state)); err != nil {
		t.Error(err)
	}
}

// TestPolicy: the policy is read after the config, and only for its keys.
func TestPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const path = "/etc/rollcall/policy.json"
		l := location
		l.PolicyPath = path
		d := disk(withID(knownID), "")
		records, ctx := openRecords(t, d, l), t.Context()
		keys := []jsonedit.Key{enabledKey}

		got := records.ReadDecisions(ctx, keys, keys)
		if len(got.Config) != 1 || got.Config[0] != yes || len(got.Policy) != 1 || got.Policy[0] != (jsonedit.Value{}) || got.PolicyErr != nil {
			t.Errorf("no policy: got %+v", got)
		}
		d.WriteFile(path, []byte(`{"telemetry": {"enabled": false}}`), 0o644)
		got = records.ReadDecisions(ctx, nil, keys)
		if got.Config != nil || len(got.Policy) != 1 || got.Policy[0] != no {
			t.Errorf("only the policy: got %+v", got)
		}
		if got = records.ReadDecisions(ctx, keys, nil); got.Policy != nil {
			t.Errorf("only the config: got %+v", got)
		}
		d.WriteFile(path, []byte("{"), 0o644)
		if got = records.ReadDecisions(ctx, keys, keys); got.PolicyErr == nil || got.ConfigErr != nil || got.Config[0] != yes {
			t.Errorf("malformed policy: got %+v", got)
		}
		d.Remove(path)
		d.Symlink("/mnt/policy.json", path)
		if got = records.ReadDecisions(ctx, keys, keys); got.PolicyErr == nil || got.ConfigErr != nil {
			t.Errorf("policy is a symlink that leads to nothing: got %+v", got)
		}
		d.WriteFile("/mnt/policy.json", []byte("{"), 0o644)
		d.Inject(failing(faultfs.OpRead, "config.json", syscall.EIO))
		if got = records.ReadDecisions(ctx, keys, keys); got.ConfigErr == nil || got.PolicyErr == nil {
			t.Errorf("unreadable config: got %+v", got)
		}
	})
}

// TestPolicyWhileConfigHangs: nobody waits for the policy after the time is
// over.
func TestPolicyWhileConfigHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := location
		l.PolicyPath = "/etc/policy.json"
		d := disk(withoutID, "")
		fault := d.Inject(faultfs.Rule{Op: faultfs.OpRead, Name: "config.json", Hang: true})
		records := openRecords(t, d, l)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		keys := []jsonedit.Key{enabledKey}
		if got := records.ReadDecisions(ctx, keys, keys); got.ConfigErr == nil || got.Policy != nil || got.PolicyErr != nil {
			t.Errorf("got %+v", got)
		}
		if op, since := records.Running(); op != "read" || since.IsZero() {
			t.Errorf("got %q in flight since %v", op, since)
		}
		fault.Release()
		synctest.Wait()

		fault = d.Inject(faultfs.Rule{Op: faultfs.OpOpen, Name: "policy.json", Hang: true})
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := records.ReadDecisions(ctx, keys, keys); got.ConfigErr != nil || got.PolicyErr == nil {
			t.Errorf("got %+v", got)
		}
		if op, since := records.Running(); op != "read" || since.IsZero() {
			t.Errorf("got %q in flight since %v", op, since)
		}
		fault.Release()
	})
}

// TestOneOperationOnTheConfig: the records and the store of a location share
// their operation in flight.
func TestOneOperationOnTheConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disk(withoutID, "")
		fault := d.Inject(faultfs.Rule{Op: faultfs.OpRead, Hang: true})
		store := open(t, d, location)
		records, err := abs(location).OpenRecords(d, store)
		if err != nil {
			t.Fatal(err)
		}
		go store.Load(t.Context())
		go records.ReadDecisions(t.Context(), []jsonedit.Key{enabledKey}, nil)
		go records.LoadNote(t.Context(), idstore.StateNote)
		synctest.Wait()
		if n := d.InFlight(); n != 1 {
			t.Errorf("%d operations in flight", n)
		}
		fault.Release()
	})
}

func TestOpenRecordsRefuses(t *testing.T) {
	for name, l := range map[string]idstore.Location{
		"relative config": {ConfigPath: "a"},
		"relative state":  {StateFile: "a"},
		"relative anchor": {ConfigPath: "/a", AnchorDir: "b"},
		"relative policy": {ConfigPath: "/a", PolicyPath: "b"},
	} {
		if _, err := abs(l).OpenRecords(faultfs.New(), nil); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// TestDiagnoseWithdrawals: a denial is no problem, and a file that cannot be read
// is one.
func TestDiagnoseWithdrawals(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "rubbish": "2 read denial /srv/app/.config.json.telemetry-denied: ",
		`{"telemetry": {"denied_at": "2026-01-02T03:04:05Z", "by": "page"}}`: "0 telemetry is denied by page on 2026-01-02T03:04:05Z, whatever the config says: " + denialsPath,
		`{"health": {"denied_at": "2026-01-02T03:04:05Z", "by": "page"}}`:    "0 health reports are denied by page on 2026-01-02T03:04:05Z, whatever the config says: " + denialsPath,
	} {
		d := disk(withoutID, "")
		if text != "" {
			d.WriteFile(denialsPath, []byte(text), 0o644)
		}
		findings, err := abs(location).Diagnose(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range findings {
			if f.Check == "withdrawal" {
				got = append(got, fmt.Sprintf("%d %s", f.Level, faultfs.Slashed(f.Detail)))
			}
		}
		if !strings.HasPrefix(strings.Join(got, ""), want) || len(got) == 0 != (want == "") {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// TestDiagnose: a location is diagnosed by its kind.
func TestDiagnose(t *testing.T) {
	for _, l := range []idstore.Location{location, {StateFile: "/srv/app/id"}} {
		findings, err := abs(l).Diagnose(t.Context(), disk(withoutID, ""))
		if err != nil || len(findings) == 0 {
			t.Errorf("got %v, %v", findings, err)
		}
	}
	if _, err := (idstore.Location{}).Diagnose(t.Context(), faultfs.New()); err == nil {
		t.Error("no place: got no error")
	}
}
