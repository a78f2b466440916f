package idstore_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const (
	stateDir       = "/var/lib/app"
	separateAnchor = "/var/lib/app/.config.json.installation-id"

	withoutID = "{\n  \"telemetry\": {\n    \"enabled\": true\n  }\n}\n"

	configPlace = "config /srv/app/config.json, key telemetry.installation_id"
	anchorPlace = "anchor /srv/app/.config.json.installation-id"
)

var (
	location = idstore.Location{ConfigPath: configPath, Key: idKey, EnabledKey: enabledKey}
	apart    = idstore.Location{ConfigPath: configPath, Key: idKey, EnabledKey: enabledKey, AnchorDir: stateDir}

	yes = jsonedit.Value{Kind: jsonedit.Bool, Text: "true"}
	no  = jsonedit.Value{Kind: jsonedit.Bool, Text: "false"}
)

func withID(id string) string {
	return strings.Replace(withoutID, "true", "true,\n    \"installation_id\": \""+id+"\"", 1)
}

// disk returns a disk with these files. An empty text means no file.
func disk(config, anchor string) *faultfs.FS {
	d := faultfs.New()
	d.MkdirAll("/srv/app", 0o755)
	if config != "" {
		d.WriteFile(configPath, []byte(config), 0o644)
	}
	if anchor != "" {
		d.WriteFile(anchorPath, []byte(anchor+"\n"), 0o644)
	}
	return d
}

// wantFiles checks the contents of the config and the anchor.
func wantFiles(t *testing.T, d *faultfs.FS, config, anchor string) {
	t.Helper()
	if got, _ := d.ReadFile(configPath); string(got) != config {
		t.Errorf("got config\n%s\nwant\n%s", got, config)
	}
	if anchor != "" {
		anchor += "\n"
	}
	if got, _ := d.ReadFile(anchorPath); string(got) != anchor {
		t.Errorf("got anchor %q, want %q", got, anchor)
	}
}

func wantRecord(t *testing.T, got, want keeper.Record) {
	t.Helper()
	got.Place = faultfs.Slashed(got.Place)
	if got != want {
		t.Errorf("got record\n%+v\nwant\n%+v", got, want)
	}
}

// failing makes an operation on a file fail.
func failing(op faultfs.Op, name string, err error) faultfs.Rule {
	return faultfs.Rule{Op: op, Name: name, Err: err}
}

func TestLoad(t *testing.T) {
	const (
		notFound = "no installation ID is stored"
		ioError  = "input/output error"
	)
	tests := []struct {
		name           string
		config, anchor string
		fault          faultfs.Rule
		want           keeper.Record
		err            string
	}{
		{"nothing", "", "", faultfs.Rule{}, keeper.Record{Place: configPlace}, notFound},
		{"config", withID(knownID), "", faultfs.Rule{}, keeper.Record{ID: known, Place: configPlace, Enabled: yes}, ""},
		{"config takes precedence", withID(knownID), otherID, faultfs.Rule{}, keeper.Record{ID: known, Place: configPlace, Enabled: yes}, ""},
		{"anchor", withoutID, knownID, faultfs.Rule{}, keeper.Record{ID: known, Place: anchorPlace, OnlyAnchor: true, Incomplete: true, Enabled: yes}, ""},
		{"anchor without config", "", knownID, faultfs.Rule{}, keeper.Record{ID: known, Place: anchorPlace, OnlyAnchor: true, Incomplete: true}, ""},
		{"anchor beside a malformed config", "{", knownID, faultfs.Rule{},
			keeper.Record{ID: known, Place: anchorPlace, OnlyAnchor: true, Incomplete: true, Unread: true}, ""},
		{"invalid", withID("rubbish"), "", faultfs.Rule{}, keeper.Record{Place: configPlace, Invalid: true, Enabled: yes}, notFound},
		{"invalid, anchor", withID("rubbish"), knownID, faultfs.Rule{},
			keeper.Record{ID: known, Place: anchorPlace, OnlyAnchor: true, Incomplete: true, Invalid: true, Enabled: yes}, ""},
		{"not a string", `{"telemetry": {"installation_id": 7}}`, "", faultfs.Rule{}, keeper.Record{Place: configPlace, Invalid: true}, notFound},
		{"malformed", "{", "", faultfs.Rule{}, keeper.Record{Place: configPlace}, "unexpected end of file"},
		{"empty", " ", "", faultfs.Rule{}, keeper.Record{Place: configPlace}, "empty"},
		{"damaged anchor", withoutID, "rubbish", faultfs.Rule{}, keeper.Record{Place: configPlace, Enabled: yes}, notFound},
		{"malformed, damaged anchor", "{", "rubbish", faultfs.Rule{}, keeper.Record{Place: configPlace}, "unexpected end of file"},
		{"no anchor possible", withoutID, knownID, failing(faultfs.OpOpen, ".config.json.installation-id", syscall.EACCES),
			keeper.Record{Place: configPlace, Enabled: yes}, notFound},
		{"anchor unreadable", withoutID, knownID, failing(faultfs.OpRead, ".config.json.installation-id", syscall.EIO),
			keeper.Record{Place: configPlace, Enabled: yes}, "read anchor: "},
		{"config unreadable", withID(knownID), "", failing(faultfs.OpRead, "config.json", syscall.EIO), keeper.Record{Place: configPlace}, ioError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := disk(tt.config, tt.anchor)
				if tt.fault.Op != "" {
					d.Inject(tt.fault)
				}
				rec, err := open(t, d, location).Load(t.Context())
				wantRecord(t, rec, tt.want)
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("got error %v, want %q", err, tt.err)
				}
				if errors.Is(err, keeper.ErrNotFound) != (tt.err == notFound) {
					t.Errorf("got error %v, want ErrNotFound: %v", err, tt.err == notFound)
				}
			})
		})
	}
}

// TestUnsynced: an ID whose sync failed is not trusted until it was written
// again.
func TestUnsynced(t *testing.T) {
	for _, skip := range []int{0, 1} { // the anchor's directory, the config's
		synctest.Test(t, func(t *testing.T) {
			d := disk(withoutID, "")
			d.Inject(faultfs.Rule{Op: faultfs.OpSyncDir, Skip: skip, Times: 1, Err: syscall.EIO})
			store := open(t, d, location)
			if rec, err := store.Save(t.Context(), known); err == nil || rec.ID.IsZero() == (skip == 1) {
				t.Errorf("Save: got %+v, %v", rec, err)
			}
			if rec, err := store.Load(t.Context()); err != nil || rec.ID != known || !rec.Unsynced {
				t.Errorf("Load: got %+v, %v", rec, err)
			}
			if rec, err := store.Save(t.Context(), known); err != nil || rec.ID != known {
				t.Errorf("Save: got %+v, %v", rec, err)
			}
			if rec, err := store.Load(t.Context()); err != nil || rec.Unsynced {
				t.Errorf("Load: got %+v, %v", rec, err)
			}
			wantFiles(t, d.Crash(faultfs.LoseUnsynced), withID(knownID), knownID)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		d := faultfs.New()
		d.MkdirAll("/srv/app", 0o755)
		d.Inject(faultfs.Rule{Op: faultfs.OpSyncDir, Skip: 1, Times: 1, Err: syscall.EIO})
		store := open(t, d, idstore.Location{StateFile: "/srv/app/id"})
		if rec, err := store.Save(t.Context(), known); err == nil || !rec.ID.IsZero() {
			t.Errorf("Save: got %+v, %v", rec, err)
		}
		if rec, err := store.Load(t.Context()); err != nil || rec.ID != known || !rec.Unsynced {
			t.Errorf("Load: got %+v, %v", rec, err)
		}
	})
}

func TestSave(t *testing.T) {
	const anchor = ".config.json.installation-id"
	readOnly := func(d *faultfs.FS) { d.Chmod(configPath, 0o444) }
	tests := []struct {
		name                   string
		location               idstore.Location
		config, anchor         string
		set                    func(*faultfs.FS)
		want                   keeper.Record
		err                    string
		wantConfig, wantAnchor string
	}{
		{name: "config", config: withoutID,
			want: keeper.Record{ID: known, Place: configPlace, Written: true}, wantConfig: withID(knownID), wantAnchor: knownID},
		{name: "no config",
			want:       keeper.Record{ID: known, Place: configPlace, Written: true, Enabled: no},
			wantConfig: strings.Replace(withID(knownID), "true", "false", 1), wantAnchor: knownID},
		{name: "no config, no consent key", location: idstore.Location{ConfigPath: configPath, Key: jsonedit.Key{"id"}},
			want:       keeper.Record{ID: known, Place: "config /srv/app/config.json, key id", Written: true},
			wantConfig: `{"id": "` + knownID + `"}` + "\n", wantAnchor: knownID},
		{name: "another anchor", config: withoutID, anchor: otherID,
			want: keeper.Record{ID: other, Place: configPlace, Written: true}, wantConfig: withID(otherID), wantAnchor: otherID},
		{name: "another ID in the config", config: withID(otherID),
			want: keeper.Record{ID: other, Place: configPlace, Incomplete: true}, wantConfig: withID(otherID), wantAnchor: knownID},
		{name: "the ID in the config", config: withID(knownID),
			want: keeper.Record{ID: known, Place: configPlace}, wantConfig: withID(knownID), wantAnchor: knownID},
		{name: "an invalid ID in the config", config: withID("rubbish"),
			want: keeper.Record{ID: known, Place: configPlace, Written: true}, wantConfig: withID(knownID), wantAnchor: knownID},

		{name: "empty", config: " ", err: "empty",
			want: keeper.Record{ID: known, Place: anchorPlace, OnlyAnchor: true, Incomplete: true}, wantConfig: " ", wantAnchor: knownID},
		{name: "empty, no anchor possible", config: " ", err: "(no anchor either: ",
			set:        func(d *faultfs.FS) { d.Inject(failing(faultfs.OpOpen, anchor, syscall.EACCES)) },
			wantConfig: " "},
		{name: "malformed", config: "{", err: "unexpected end of file", wantConfig: "{"},
		{name: "read-only", config: withoutID, set: readOnly, err: "mode 0444", wantConfig: withoutID},
		{name: "read-only, separate anchor", location: apart, config: withoutID, set: readOnly, err: "mode 0444",
			want: keeper.Record{ID: known, Place: "anchor " + separateAnchor, OnlyAnchor: true, Incomplete: true}, wantConfig: withoutID},
		{name: "malformed, separate anchor", location: apart, config: "{", err: "unexpected end of file", wantConfig: "{"},
		{name: "read-only, AnchorDir is the config's", set: readOnly, config: withoutID, err: "mode 0444", wantConfig: withoutID,
			location: idstore.Location{ConfigPath: configPath, Key: idKey, AnchorDir: "/srv/app/"}, wantAnchor: knownID,
			want: keeper.Record{ID: known, Place: anchorPlace, OnlyAnchor: true, Incomplete: true}},

		{name: "anchor fails", config: withoutID, err: "publish anchor: ", wantConfig: withoutID,
			set: func(d *faultfs.FS) { d.Inject(failing(faultfs.OpLink, anchor, syscall.EIO)) }},
		{name: "no anchor possible", config: withoutID, wantConfig: withID(knownID),
			set:  func(d *faultfs.FS) { d.Inject(failing(faultfs.OpOpen, anchor, syscall.EACCES)) },
			want: keeper.Record{ID: known, Place: configPlace, Written: true}},
		{name: "config fails", config: withoutID, err: "input/output error", wantConfig: withoutID, wantAnchor: knownID,
			set:  func(d *faultfs.FS) { d.Inject(failing(faultfs.OpExchange, "config.json", syscall.EIO)) },
			want: keeper.Record{ID: known, Place: anchorPlace, OnlyAnchor: true, Incomplete: true}},
		{name: "config fails, no anchor possible", config: withoutID, err: "(no anchor either: ", wantConfig: withoutID,
			set: func(d *faultfs.FS) {
				d.Inject(failing(faultfs.OpExchange, "config.json", syscall.EIO))
				d.Inject(failing(faultfs.OpOpen, anchor, syscall.EACCES))
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := disk(tt.config, tt.anchor)
				if tt.set != nil {
					tt.set(d)
				}
				if tt.location.ConfigPath == "" {
					tt.location = location
				}
				rec, err := open(t, d, tt.location).Save(t.Context(), known)
				wantRecord(t, rec, tt.want)
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("got error %v, want %q", err, tt.err)
				}
				wantFiles(t, d, tt.wantConfig, tt.wantAnchor)
				if got, _ := d.ReadFile(separateAnchor); (string(got) == knownID+"\n") != (tt.want.Place == "anchor "+separateAnchor) {
					t.Errorf("got separate anchor %q", got)
				}
			})
		})
	}
}

// stillOld is the reason of a reset beside a read-only config with an ID.
const stillOld = "the config still has the old ID, which does not count any more, until the config can be written"

func TestReplace(t *testing.T) {
	const anchor = ".config.json.installation-id"
	readOnly := func(d *faultfs.FS) { d.Chmod(configPath, 0o444) }
	tests := []struct {
		name                   string
		location               idstore.Location
		config, anchor         string
		set                    func(*faultfs.FS)
		want                   keeper.Record
		err                    string
		wantConfig, wantAnchor string
	}{
		{name: "both", config: withID(otherID), anchor: otherID,
			want: keeper.Record{ID: known, Place: configPlace, Written: true}, wantConfig: withID(knownID), wantAnchor: knownID},
		{name: "read-only", config: withID(otherID), anchor: otherID, set: readOnly,
			want: keeper.Record{ID: known, Place: "anchor " + anchorPath, OnlyAnchor: true, Incomplete: true, Reason: stillOld}, wantConfig: withID(otherID), wantAnchor: knownID},
		{name: "read-only with an ID, separate anchor", location: apart, config: withID(otherID), set: readOnly,
			want: keeper.Record{ID: known, Place: "anchor " + separateAnchor, OnlyAnchor: true, Incomplete: true, Reason: stillOld}, wantConfig: withID(otherID)},
		{name: "config fails", config: withID(otherID), anchor: otherID, err: "exchange: ",
			set:        func(d *faultfs.FS) { d.Inject(failing(faultfs.OpExchange, "config.json", syscall.EIO)) },
			want:       keeper.Record{ID: known, Place: anchorPlace, OnlyAnchor: true, Incomplete: true},
			wantConfig: withID(otherID), wantAnchor: knownID},
		{name: "config and anchor fail", config: withID(otherID), anchor: otherID, err: "replace anchor: ",
			set: func(d *faultfs.FS) {
				d.Inject(failing(faultfs.OpSync, ".config.json.rollcall-*", syscall.EIO))
				d.Inject(failing(faultfs.OpSync, "..config.json.installation-id.rollcall-*", syscall.EIO))
			},
			want: keeper.Record{Retired: true}, wantConfig: withID(otherID), wantAnchor: otherID},
		{name: "read-only, separate anchor", location: apart, config: withoutID, set: readOnly,
			want: keeper.Record{ID: known, Place: "anchor " + separateAnchor, OnlyAnchor: true, Incomplete: true}, wantConfig: withoutID},
		{name: "empty", config: " ", anchor: otherID, err: "empty", wantConfig: " ", wantAnchor: otherID},
		{name: "anchor fails", config: withID(otherID), anchor: otherID, err: "replace anchor: ",
			set:        func(d *faultfs.FS) { d.Inject(failing(faultfs.OpExchange, anchor, syscall.EIO)) },
			want:       keeper.Record{ID: known, Place: configPlace, Written: true, Incomplete: true},
			wantConfig: withID(knownID), wantAnchor: otherID},
		{name: "no anchor possible", config: withID(otherID),
			set:        func(d *faultfs.FS) { d.MkdirAll(anchorPath, 0o755) },
			want:       keeper.Record{ID: known, Place: configPlace, Written: true},
			wantConfig: withID(knownID)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := disk(tt.config, tt.anchor)
				if tt.set != nil {
					tt.set(d)
				}
				if tt.location.ConfigPath == "" {
					tt.location = location
				}
				rec, err := open(t, d, tt.location).Replace(t.Context(), installid.ID{}, known)
				wantRecord(t, rec, tt.want)
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("got error %v, want %q", err, tt.err)
				}
				wantFiles(t, d, tt.wantConfig, tt.wantAnchor)
			})
		})
	}
}

func TestMaintain(t *testing.T) {
	tests := []struct {
		name           string
		config, anchor string
		set            func(*faultfs.FS)
		want           keeper.Record
		err            string
		wantConfig     string
		wantAnchor     string
	}{
		{name: "complete", config: withID(knownID), anchor: knownID,
			want: keeper.Record{ID: known, Place: configPlace, Enabled: yes}, wantConfig: withID(knownID), wantAnchor: knownID},
		{name: "no anchor", config: withID(knownID),
			want: keeper.Record{ID: known, Place: configPlace, Enabled: yes}, wantConfig: withID(knownID), wantAnchor: knownID},
		{name: "another anchor", config: withID(knownID), anchor: otherID,
			want: keeper.Record{ID: known, Place: configPlace, Enabled: yes}, wantConfig: withID(knownID), wantAnchor: knownID},
		{name: "no ID in the config", config: withoutID, anchor: knownID,
			want: keeper.Record{ID: known, Place: configPlace, Written: true}, wantConfig: withID(knownID), wantAnchor: knownID},
		{name: "read-only", config: withID(knownID), anchor: otherID, set: func(d *faultfs.FS) { d.Chmod(configPath, 0o444) },
			want: keeper.Record{ID: known, Place: configPlace, Enabled: yes}, wantConfig: withID(knownID), wantAnchor: otherID},
		{name: "malformed", config: "{", anchor: knownID, err: "unexpected end of file", wantConfig: "{", wantAnchor: knownID},
		{name: "anchor fails", config: withID(knownID), anchor: otherID, err: "replace anchor: ",
			set: func(d *faultfs.FS) {
				d.Inject(failing(faultfs.OpExchange, ".config.json.installation-id", syscall.EIO))
			},
			want:       keeper.Record{ID: known, Place: configPlace, Enabled: yes, Incomplete: true},
			wantConfig: withID(knownID), wantAnchor: otherID},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := disk(tt.config, tt.anchor)
				if tt.set != nil {
					tt.set(d)
				}
				d.ResetLog()
				rec, err := open(t, d, location).Maintain(t.Context(), known)
				for _, e := range d.Log() {
					if e.Mutates() && tt.wantConfig == tt.config && tt.wantAnchor == tt.anchor && tt.err == "" {
						t.Errorf("changed something: %v", e)
					}
				}
				wantRecord(t, rec, tt.want)
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("got error %v, want %q", err, tt.err)
				}
				wantFiles(t, d, tt.wantConfig, tt.wantAnchor)
			})
		})
	}
}

func TestRecover(t *testing.T) {
	const anchor = ".config.json.installation-id"
	tests := []struct {
		name           string
		config, anchor string
		set            func(*faultfs.FS)
		err            bool
		wantAnchor     string
		syncs          []string // the files that were synced
	}{
		{name: "nothing"},
		{name: "config", config: withID(knownID), syncs: []string{configPath}},
		{name: "both", config: withID(knownID), anchor: knownID, wantAnchor: knownID, syncs: []string{configPath, anchorPath}},
		{name: "anchor", config: withoutID, anchor: knownID, wantAnchor: knownID, syncs: []string{anchorPath}},
		{name: "anchor beside a malformed config", config: "{", anchor: knownID, wantAnchor: knownID, syncs: []string{anchorPath}},
		{name: "anchor of a reset that was killed", config: withID(knownID), anchor: otherID, wantAnchor: knownID, syncs: []string{configPath}},
		{name: "the same beside a read-only config", config: withID(knownID), anchor: otherID,
			set: func(d *faultfs.FS) { d.Chmod(configPath, 0o444) }, wantAnchor: otherID, syncs: []string{configPath}},
		{name: "damaged anchor", config: withID(knownID), anchor: "rubbish", wantAnchor: "rubbish", syncs: []string{configPath}},
		{name: "config cannot be synced", config: withID(knownID), err: true,
			set: func(d *faultfs.FS) { d.Inject(failing(faultfs.OpSync, "config.json", syscall.EIO)) }},
		{name: "anchor cannot be synced", config: withoutID, anchor: knownID, err: true, wantAnchor: knownID,
			set: func(d *faultfs.FS) { d.Inject(failing(faultfs.OpSync, anchor, syscall.EIO)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := disk(tt.config, tt.anchor)
				if tt.set != nil {
					tt.set(d)
				}
				d.ResetLog()
				if err := open(t, d, location).Recover(t.Context()); (err != nil) != tt.err {
					t.Errorf("got error %v", err)
				}
				wantFiles(t, d, tt.config, tt.wantAnchor)
				for _, name := range tt.syncs {
					if !synced(d, name) {
						t.Errorf("%s was not synced", name)
					}
				}
			})
		})
	}
}

func synced(d *faultfs.FS, name string) bool {
	for _, e := range d.Log() {
		if e.Op == faultfs.OpSync && e.Name == name && e.Err == nil {
			return true
		}
	}
	return false
}

// TestRecoverDuringReset: a reset that comes between the two reads of Recover
// is not undone.
func TestRecoverDuringReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disk(withID(knownID), knownID)
		store := open(t, d, location)
		operator := open(t, d.As("operator"), location)
		d.Inject(faultfs.Rule{Op: faultfs.OpRead, Proc: "", Times: 1, After: func() {
			if _, err := operator.Replace(t.Context(), installid.ID{}, other); err != nil {
				t.Error(err)
			}
		}})
		if err := store.Recover(t.Context()); err != nil {
			t.Error(err)
		}
		wantFiles(t, d, withID(otherID), otherID)
	})
}

// TestSweep: Recover removes the temporary files of killed processes.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, l := range []idstore.Location{location, {StateFile: configPath}} {
			d := disk("", "")
			for n := range 30 {
				dying := d.As("dying")
				dying.StepLimit(n)
				open(t, dying, l).Save(t.Context(), known)
			}
			before := len(d.Files())
			time.Sleep(time.Hour)
			open(t, d, l).Recover(t.Context())
			for _, name := range d.Files() {
				if strings.HasSuffix(name, ".tmp") {
					t.Errorf("%s was not removed", name)
				}
			}
			if before == len(d.Files()) {
				t.Errorf("no temporary file was left: %q", d.Files())
			}
		}
	})
}

func TestStateFile(t *testing.T) {
	const file = "/var/lib/app/installation-id"
	place := "state file " + file
	for content, want := range map[string]keeper.Record{
		"":                  {Place: place},
		knownID:             {ID: known, Place: place},
		"rubbish":           {Place: place, Invalid: true},
		" ":                 {Place: place, Invalid: true},
		knownID + "\n":      {ID: known, Place: place},
		knownID + knownID:   {Place: place, Invalid: true},
		"{" + knownID + "}": {Place: place, Invalid: true},
	} {
		d := faultfs.New()
		if content != "" {
			d.WriteFile(file, []byte(content), 0o644)
		}
		store := open(t, d, idstore.Location{StateFile: file})
		rec, err := store.Load(t.Context())
		wantRecord(t, rec, want)
		if errors.Is(err, keeper.ErrNotFound) != want.ID.IsZero() {
			t.Errorf("%q: got error %v", content, err)
		}
		wantID := known
		if want.ID.IsZero() {
			wantID = other
		}
		rec, err = store.Save(t.Context(), other)
		if err != nil {
			t.Error(err)
		}
		wantRecord(t, rec, keeper.Record{ID: wantID, Place: place, Written: wantID == other})
	}
	d := faultfs.New()
	d.WriteFile(file, []byte(knownID), 0o644)
	d.Inject(faultfs.Rule{Op: faultfs.OpRead, Err: syscall.EIO})
	store := open(t, d, idstore.Location{StateFile: file})
	if _, err := store.Load(t.Context()); !errors.Is(err, syscall.EIO) || errors.Is(err, keeper.ErrNotFound) {
		t.Errorf("Load: got error %v", err)
	}
	d.Inject(faultfs.Rule{Op: faultfs.OpSync, Err: syscall.EIO})
	if err := store.Recover(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("Recover: got error %v", err)
	}
	if rec, err := store.Replace(t.Context(), installid.ID{}, other); err == nil || !rec.ID.IsZero() {
		t.Errorf("Replace: got %+v, %v", rec, err)
	}
	d.ReleaseAll()
	d.Delete(file)
	d.Inject(faultfs.Rule{Op: faultfs.OpSync, Err: fs.ErrPermission})
	if rec, err := store.Save(t.Context(), other); err == nil || rec != (keeper.Record{}) {
		t.Errorf("Save: got %+v, %v", rec, err)
	}
}

// TestRunning: the operation in flight is known while it hangs.
func TestRunning(t *testing.T) {
	for name, l := range map[string]idstore.Location{"config": location, "state file": {StateFile: configPath}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := disk(withoutID, "")
				fault := d.Inject(faultfs.Rule{Op: faultfs.OpRead, Hang: true})
				store := open(t, d, l)
				go store.Load(t.Context())
				synctest.Wait()
				if op, since := store.Running(); op != "read" || since.IsZero() {
					t.Errorf("got %q since %v", op, since)
				}
				fault.Release()
			})
		})
	}
}
