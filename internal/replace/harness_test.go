package replace_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/test/configdisk"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const attempt = 5 * time.Second // what the keeper allows for one save

var key = jsonedit.Key{"telemetry", "installation_id"}

// open opens the config in a process.
func open(t *testing.T, process *faultfs.FS) *configfile.File {
	t.Helper()
	return openAt(t, process, configPath)
}

func openAt(t *testing.T, process *faultfs.FS, path string) *configfile.File {
	t.Helper()
	f, err := configfile.Open(process, faultfs.Abs(path), configfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func openAnchor(t *testing.T, process *faultfs.FS) *anchor.Anchor {
	t.Helper()
	return anchorOf(open(t, process))
}

func anchorOf(f *configfile.File) *anchor.Anchor { return anchorIn(f, "") }

func anchorIn(f *configfile.File, dir string) *anchor.Anchor {
	if dir == "" {
		dir = fsys.Dir(f.Path())
	}
	a, err := f.Anchor(fsys.Join(dir, ".config.json.installation-id"), anchor.Options{Valid: isID})
	if err != nil {
		panic(err)
	}
	return a
}

func keepID(v jsonedit.Value) bool { return v.Kind == jsonedit.String && isID(v.Text) }

// set sets the ID unless there is one.
func set(ctx context.Context, f *configfile.File, id string) (string, error) {
	now, _, err := f.Set(ctx, key, id, keepID)
	return now.Text, err
}

func mustSet(t *testing.T, f *configfile.File, id string) {
	t.Helper()
	if now, err := set(t.Context(), f, id); now != id || err != nil {
		t.Fatalf("set: got %q, %v, want %q", now, err, id)
	}
}

// settings are what the tests read of a config.
type settings struct {
	Saves     int
	Telemetry struct {
		ID string `json:"installation_id"`
	}
}

func parse(data []byte) (s settings, err error) {
	err = json.Unmarshal(data, &s)
	return s, err
}

// hostSaves are the ways in which hosts save.
var hostSaves = []struct {
	name string
	save func(disk *faultfs.FS, path, text string) error
}{
	{"in place", func(disk *faultfs.FS, path, text string) error {
		return hostWrite(disk, path, text, os.O_TRUNC, 0)
	}},
	{"in place, slowly", func(disk *faultfs.FS, path, text string) error {
		return hostWrite(disk, path, text, os.O_TRUNC, 20*time.Millisecond)
	}},
	{"by rename", func(disk *faultfs.FS, path, text string) error {
		if err := hostWrite(disk, path+".new", text, os.O_EXCL, 0); err != nil {
			return err
		}
		return disk.Rename(path+".new", path)
	}},
}

// hostWrite writes without a sync, as most hosts do, and pauses after opening
// and after each half.
func hostWrite(disk *faultfs.FS, path, text string, flag int, pause time.Duration) error {
	file, err := disk.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	for half := range strings.SplitAfterSeq(text, "80\",") {
		time.Sleep(pause)
		if _, err := file.Write([]byte(half)); err != nil {
			return err
		}
	}
	time.Sleep(pause)
	return nil
}

// A saver saves once and returns the ID that is stored then.
type saver func(ctx context.Context) (string, error)

type opener func(t *testing.T, process *faultfs.FS) saver

// A scene is one way that a save can take.
type scene struct {
	name string
	// prepare changes the disk, which holds config; nil does nothing.
	prepare func(disk *faultfs.FS)
	// without is an operation that always fails, with withoutErr, or only on
	// the file called withoutAt.
	without    faultfs.Op
	withoutErr error
	withoutAt  string
	// open returns the save.
	open opener
	// path is the file that it writes, with the content before ("" if there is
	// none) and after it.
	path, before, after string
	// renames means that the commit is a rename, and inPlace that it is a write
	// in place, to a mount point if mountPoint is set.
	renames, inPlace, mountPoint bool
}

func (s *scene) isConfig() bool { return s.path == configPath }

func (s *scene) steps(t *testing.T) []configdisk.Step {
	t.Helper()
	var steps []configdisk.Step
	s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
		if stored, err := save(t.Context()); stored != id || err != nil {
			t.Fatalf("healthy run: got %q, %v", stored, err)
		}
		if got := content(t, disk, s.path); got != s.after {
			t.Fatalf("healthy run: got %q, want %q", got, s.after)
		}
		requireNoTemps(t, disk)
		steps = configdisk.Steps(disk)
	})
	return steps
}

// run runs a test of the scene on a disk of its own.
func (s *scene) run(t *testing.T, run func(t *testing.T, disk *faultfs.FS, save saver)) {
	t.Helper()
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		if s.prepare != nil {
			s.prepare(disk)
		}
		save := s.open(t, disk.As("p"))
		limit := sync.OnceFunc(func() { // as the last rule, so that those of the test match first
			if s.without != "" {
				disk.Inject(faultfs.Rule{Op: s.without, Name: s.withoutAt, Proc: "p", Err: s.withoutErr})
			}
		})
		run(t, disk, func(ctx context.Context) (string, error) {
			limit()
			return save(ctx)
		})
	})
}

// A moment is a step of the healthy run.
type moment struct {
	configdisk.Step
	then   []configdisk.Step // the steps after it
	commit configdisk.Step   // the step that makes the new content visible
}

// eachStep runs a test for each operation of a healthy run of each scene.
func eachStep(t *testing.T, run func(t *testing.T, s *scene, at moment)) {
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			steps := s.steps(t)
			for i, at := range steps {
				t.Run(at.String(), func(t *testing.T) { run(t, s, moment{at, steps[i+1:], commitOf(steps)}) })
			}
		})
	}
}

func commitOf(steps []configdisk.Step) configdisk.Step {
	var commit configdisk.Step
	for _, at := range steps {
		switch at.Op {
		case faultfs.OpExchange, faultfs.OpRename, faultfs.OpLink, faultfs.OpAmend:
			commit = at
		}
	}
	return commit
}

// beforeCommit reports whether the commit is this step or a later one.
func (m *moment) beforeCommit() bool { return m.Step == m.commit || slices.Contains(m.then, m.commit) }

// isLast reports whether op does not occur between this step and the commit.
func (m *moment) isLast(op faultfs.Op) bool {
	commit := slices.Index(m.then, m.commit)
	return m.beforeCommit() && !slices.ContainsFunc(m.then[:max(commit, 0)], func(s configdisk.Step) bool { return s.Op == op })
}

func scenes() []*scene {
	setConfig := func(t *testing.T, process *faultfs.FS) saver {
		f := open(t, process)
		return func(ctx context.Context) (string, error) { return set(ctx, f, id) }
	}
	publish := func(t *testing.T, process *faultfs.FS) saver {
		a := openAnchor(t, process)
		return func(ctx context.Context) (string, error) { return a.Publish(ctx, id) }
	}
	replace := func(t *testing.T, process *faultfs.FS) saver {
		a := openAnchor(t, process)
		return func(ctx context.Context) (string, error) { return id, a.Replace(ctx, id) }
	}
	missing := func(disk *faultfs.FS) { disk.Delete("/etc") }
	damaged := func(disk *faultfs.FS) { disk.WriteFile(anchorPath, []byte("torn"), 0o644) }
	const fresh = "{\"telemetry\": {\"installation_id\": \"" + id + "\"}}\n"
	noExchange := scene{without: faultfs.OpExchange, withoutErr: errors.ErrUnsupported, renames: true}
	noExchangeEIO := scene{without: faultfs.OpExchange, withoutErr: syscall.EIO, renames: true}
	noLinksEIO := scene{without: faultfs.OpLink, withoutErr: syscall.EIO, renames: true}
	noLinks := scene{without: faultfs.OpLink, withoutErr: syscall.EPERM, renames: true}
	notReplaced := scene{without: faultfs.OpExchange, withoutErr: syscall.EACCES, withoutAt: filepath.Base(configPath), inPlace: true}
	mount := scene{prepare: func(disk *faultfs.FS) { disk.MarkMountPoint(configPath) }, inPlace: true, mountPoint: true}

	changed := func(s scene, name string) *scene {
		s.name, s.open = name, setConfig
		s.path, s.before, s.after = configPath, config, withID(config, id)
		return &s
	}
	invalid := changed(scene{prepare: func(disk *faultfs.FS) {
		disk.WriteFile(configPath, []byte(withID(config, "no ID, and of another length")), 0o644)
	}}, "invalid ID")
	invalid.before = withID(config, "no ID, and of another length")
	made := func(s scene, name string) *scene {
		s.name, s.open, s.prepare = name, setConfig, missing
		s.path, s.after = configPath, fresh
		return &s
	}
	anchored := func(s scene, name string, open opener) *scene {
		s.name, s.open = name, open
		s.path, s.after = anchorPath, id+"\n"
		return &s
	}
	repaired := func(s scene, name string, open opener) *scene {
		s.prepare, s.before = damaged, "torn"
		return anchored(s, name, open)
	}
	return []*scene{
		changed(scene{}, "exchange"),
		changed(noExchange, "rename"),
		changed(noExchangeEIO, "rename, exchange says EIO"),
		changed(mount, "mount point"),
		changed(notReplaced, "not to be replaced"),
		invalid,
		made(scene{}, "new config"),
		made(noLinks, "new config without links"),
		anchored(scene{}, "new anchor", publish),
		anchored(noLinks, "new anchor without links", publish),
		anchored(noLinksEIO, "new anchor, link says EIO", publish),
		repaired(scene{}, "damaged anchor", publish),
		repaired(noExchange, "damaged anchor, rename", publish),
		repaired(scene{}, "replaced anchor", replace),
		repaired(noExchange, "replaced anchor, rename", replace),
	}
}

// look returns what the scene has written.
func (s *scene) look(t *testing.T, disk *faultfs.FS) string {
	t.Helper()
	data, err := disk.ReadFile(s.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// requireOldOrNew checks that the content is the old or the new one. An attempt
// in place can leave spaces at its end.
func (s *scene) requireOldOrNew(t *testing.T, disk *faultfs.FS) {
	t.Helper()
	got := s.look(t, disk)
	if s.isConfig() && s.before != "" {
		got = strings.TrimRight(got, " ")
	}
	if got != s.before && got != s.after {
		t.Errorf("%s: got %q, want %q or %q (%s)", filepath.Base(s.path), got, s.before, s.after, disk.Origin())
	}
}

// requireDurable checks that the new content survives a power cut that loses
// everything unsynced.
func (s *scene) requireDurable(t *testing.T, disk *faultfs.FS) {
	t.Helper()
	s.requireNew(t, disk.Crash(faultfs.LoseUnsynced))
}

// requireDurableInAny is requireDurable for every disk that a power cut can
// leave.
func (s *scene) requireDurableInAny(t *testing.T, disk *faultfs.FS) {
	t.Helper()
	for state := range disk.CrashStates() {
		s.requireNew(t, state)
	}
}

func (s *scene) requireNew(t *testing.T, disk *faultfs.FS) {
	t.Helper()
	if got := strings.TrimRight(s.look(t, disk), " "); got != s.after {
		t.Errorf("after a power cut: got %q, want %q (%s)", got, s.after, disk.Origin())
	}
}
