package keeper_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const (
	configPath = "/srv/app/config.json"
	anchorPath = "/srv/app/.config.json.installation-id"

	// hostConfig is a typical config of a host: no key of ours but the
	// consent, comments, and odd spacing.
	hostConfig = "{\n\t// where to listen\n\t\"port\" : 8080,\n\t\"big\": 12345678901234567890,\n\t\"telemetry\": {\"enabled\": false}\n}\n"

	knownID = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"
	otherID = "7c1f0e2d-3b4a-4c5d-8e9f-a0b1c2d3e4f5"

	week = 7 * 24 * time.Hour
)

func mustParse(text string) installid.ID {
	id, err := installid.Parse(text)
	if err != nil {
		panic(err)
	}
	return id
}

// withID returns hostConfig with an ID.
func withID(id string) string {
	return strings.Replace(hostConfig, `"enabled": false`, `"enabled": false, "installation_id": "`+id+`"`, 1)
}

// A setup is a keeper that a test is about to make, and where it keeps the ID.
type setup struct {
	keeper.Options
	idstore.Location
	store keeper.Store // nil means the one at the location
}

// limits are the defaults of the specification.
var limits = keeper.Options{
	Attempts:       3,
	AttemptTimeout: 5 * time.Second,
	StartTimeout:   20 * time.Second,
	Backoff:        time.Second,
}

func lazily(s *setup) { s.Lazy = true }

func once(s *setup) { s.Attempts = 1 }

// A rig is a disk, a log, and the keepers that a test starts on them.
type rig struct {
	t   *testing.T
	fs  *faultfs.FS
	log *logbook
}

// newRig creates a disk with the host's config, or without one if config is
// empty. When the test ends, the rig stops all keepers, which must take no
// time, and releases all operations that hang.
func newRig(t *testing.T, config string) *rig {
	t.Helper()
	r := &rig{t: t, fs: faultfs.New(), log: &logbook{t: t, begin: time.Now()}}
	if config != "" {
		r.fs.WriteFile(configPath, []byte(config), 0o640)
		r.fs.ResetLog()
	}
	t.Cleanup(func() {
		r.fs.ReleaseAll()
		time.Sleep(24 * time.Hour) // abandoned operations stop at their next step
	})
	return r
}

// newKeeper returns a keeper that is not started. As the host's service does,
// it logs the end of its start.
func (r *rig) newKeeper(change ...func(*setup)) *keeper.Keeper {
	r.t.Helper()
	return r.newKeeperOn(r.fs, change...)
}

func (r *rig) newKeeperOn(disk *faultfs.FS, change ...func(*setup)) *keeper.Keeper {
	r.t.Helper()
	log := slog.New(r.log)
	s := setup{Options: limits, Location: idstore.Location{
		ConfigPath: configPath,
		Key:        jsonedit.Key{"telemetry", "installation_id"},
		EnabledKey: jsonedit.Key{"telemetry", "enabled"},
	}}
	s.Logger = log
	s.OnSettled = func(_ context.Context, st keeper.Status) {
		log.Info("Telemetry service started", "has_persistent_id", st.Persisted)
	}
	for _, c := range change {
		c(&s)
	}
	if s.store == nil {
		for _, path := range []*string{&s.ConfigPath, &s.StateFile, &s.AnchorDir} {
			*path = faultfs.Abs(*path)
		}
		store, err := s.Open(disk)
		if err != nil {
			r.t.Fatal(err)
		}
		s.store = store
	}
	k := keeper.New(s.store, s.Options)
	r.t.Cleanup(func() { r.stop(k) })
	return k
}

// start starts a keeper.
func (r *rig) start(change ...func(*setup)) *keeper.Keeper {
	r.t.Helper()
	return r.startOn(r.fs, change...)
}

func (r *rig) startOn(disk *faultfs.FS, change ...func(*setup)) *keeper.Keeper {
	r.t.Helper()
	k := r.newKeeperOn(disk, change...)
	if err := k.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return k
}

// stop stops a keeper. That must take no time, whatever hangs, except for the
// grace that an operation gets if it has just begun.
func (r *rig) stop(k *keeper.Keeper) {
	r.t.Helper()
	begin := time.Now()
	if err := k.Stop(context.Background()); err != nil {
		r.t.Errorf("Stop: %v", err)
	}
	if d := time.Since(begin); d > 100*time.Millisecond {
		r.t.Errorf("Stop took %v", d)
	}
}

// wantSettled checks that the keeper is settled within limit.
func (r *rig) wantSettled(k *keeper.Keeper, limit time.Duration) {
	r.t.Helper()
	select {
	case <-k.Settled():
	case <-time.After(limit):
		r.t.Errorf("not settled after %v", limit)
	}
}

func (r *rig) read(name string) string {
	r.t.Helper()
	data, err := r.fs.ReadFile(name)
	if err != nil {
		r.t.Errorf("read: %v", err)
	}
	return string(data)
}

func (r *rig) wantFile(name, want string) {
	r.t.Helper()
	if got := r.read(name); got != want {
		r.t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func (r *rig) wantFiles(want ...string) {
	r.t.Helper()
	if got := r.fs.Files(); !slices.Equal(got, want) {
		r.t.Errorf("got files %q, want %q", got, want)
	}
}

// wantPersisted checks that the keeper uses the ID, and that a power cut now
// would lose neither the config's copy nor the anchor.
func (r *rig) wantPersisted(k *keeper.Keeper, id string) {
	r.t.Helper()
	r.wantState(k, id, true)
	disk := r.fs.Crash(faultfs.LoseUnsynced)
	if got := idIn(disk); got != id {
		r.t.Errorf("got ID %q in the config after a power cut, want %q", got, id)
	}
	if got, _ := disk.ReadFile(anchorPath); string(got) != id+"\n" {
		r.t.Errorf("got anchor %q after a power cut, want %q", got, id)
	}
}

func (r *rig) wantState(k *keeper.Keeper, id string, persisted bool) {
	r.t.Helper()
	st := k.Status()
	if got := k.ID().String(); got != id || st.ID != k.ID() {
		r.t.Errorf("got ID %q, in the status %q, want %q", got, st.ID, id)
	}
	if st.Persisted != persisted {
		r.t.Errorf("got persisted %v, want %v; reason: %s", st.Persisted, persisted, st.Reason)
	}
}

// idIn returns the value at the ID's key in the config, or "".
func idIn(disk *faultfs.FS) string {
	data, _ := disk.ReadFile(configPath)
	var config struct {
		Telemetry struct {
			ID string `json:"installation_id"`
		} `json:"telemetry"`
	}
	if err := json.Unmarshal(withoutComments(data), &config); err != nil {
		return ""
	}
	return config.Telemetry.ID
}

var comment = regexp.MustCompile(`(?m)//.*$`)

func withoutComments(data []byte) []byte { return comment.ReplaceAll(data, nil) }

// wantOneInFlight checks that at most one file operation is in flight.
func (r *rig) wantOneInFlight() {
	r.t.Helper()
	if n := r.fs.InFlight(); n > 1 {
		r.t.Errorf("%d operations in flight", n)
	}
}

// mutations returns the operations since the last ResetLog that could change
// something.
func (r *rig) mutations() []string {
	var found []string
	for _, e := range r.fs.Log() {
		if e.Mutates() {
			found = append(found, e.String())
		}
	}
	return found
}

func (r *rig) wantNoMutation() {
	r.t.Helper()
	for _, op := range r.mutations() {
		r.t.Errorf("changed something: %s", op)
	}
}

// A logbook is a slog.Handler that keeps the lines. No line may contain a full
// ID.
type logbook struct {
	t     testing.TB
	begin time.Time

	mu    sync.Mutex
	lines []logLine
}

type logLine struct {
	level slog.Level
	at    time.Duration
	text  string
}

var fullID = regexp.MustCompile(`(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func (l *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler       { panic("not used") }
func (l *logbook) WithGroup(string) slog.Handler            { panic("not used") }

func (l *logbook) Handle(_ context.Context, rec slog.Record) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%v %s", rec.Level, rec.Message)
	rec.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	if fullID.Match(b.Bytes()) {
		l.t.Errorf("a full ID was logged: %s", &b)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, logLine{rec.Level, time.Since(l.begin), b.String()})
	return nil
}

// reset drops the lines and counts the time from now.
func (l *logbook) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin, l.lines = time.Now(), nil
}

// want checks the lines of level INFO and above. A * matches any text.
func (l *logbook) want(want ...string) {
	l.t.Helper()
	l.compare(func(line logLine) string { return line.text }, want)
}

// wantTimed is want for lines that begin with their time.
func (l *logbook) wantTimed(want ...string) {
	l.t.Helper()
	l.compare(func(line logLine) string { return line.at.String() + " " + line.text }, want)
}

func (l *logbook) compare(text func(logLine) string, want []string) {
	l.t.Helper()
	var got []string
	l.mu.Lock()
	for _, line := range l.lines {
		if line.level >= slog.LevelInfo {
			got = append(got, faultfs.Slashed(text(line)))
		}
	}
	l.mu.Unlock()
	if !slices.EqualFunc(got, want, matches) {
		l.t.Errorf("got log\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func matches(line, pattern string) bool {
	parts := strings.Split(pattern, "*")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile("^(?s:" + strings.Join(parts, ".*") + ")$").MatchString(line)
}

// The log lines.
func generated(id installid.ID) string {
	return "INFO Generated new anonymous installation ID id=" + id.String()[:8] + "..."
}

func persisted(attempt int) string {
	return fmt.Sprintf("INFO Installation ID persisted to config attempt=%d", attempt)
}

func timedOut(attempt int) string {
	return fmt.Sprintf("WARN Config save timed out, will retry attempt=%d max_retries=3", attempt)
}

func failed(err string, attempt int) string {
	return fmt.Sprintf("WARN Failed to save installation ID to config error=%s attempt=%d max_retries=3", err, attempt)
}

func inMemory(id installid.ID, err string) string {
	return "WARN Using in-memory installation ID (config save failed) id=" + id.String()[:8] + "... error=" + err +
		" note=telemetry works with this ID until the next start; saving is tried again in the background"
}

func started(persistent bool) string {
	return fmt.Sprintf("INFO Telemetry service started has_persistent_id=%v", persistent)
}

func adopted(id string) string { return "INFO Stored installation ID adopted id=" + id[:8] + "..." }

const replacing = "WARN Stored installation ID is not valid, replacing it"

// in prefixes a line with its time.
func in(at time.Duration, line string) string { return at.String() + " " + line }
