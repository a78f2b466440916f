package rollcall_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

const (
	// noHook keeps a test process from calling RunChild.
	noHook = "ROLLCALL_TEST_NO_HOOK"

	configPath = "/srv/app/config.json"
	anchorPath = "/srv/app/.config.json.installation-id"

	// hostConfig is the config of a host: comments, odd spacing, no ID.
	hostConfig = "{\n\t// where to listen\n\t\"port\" : 8080,\n\t\"big\": 12345678901234567890,\n\t\"telemetry\": {\"enabled\": false}\n}\n"

	knownID = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"
	otherID = "7c1f0e2d-3b4a-4c5d-8e9f-a0b1c2d3e4f5"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // or each child would take a second to exit
	if os.Getenv(noHook) == "" {
		obeyTest()
		rollcall.RunChild()
	}
	// Neither the disk of the test run, which may be that of a container, nor
	// its environment must decide anything.
	os.Setenv("ROLLCALL_TRUST_DISK", "true")
	for _, name := range []string{rollcall.DefaultIDVariable, "ROLLCALL_TELEMETRY", "DO_NOT_TRACK", "STATE_DIRECTORY"} {
		os.Unsetenv(name)
	}
	os.Exit(m.Run())
}

// withID returns hostConfig with an ID at the default key.
func withID(id string) string {
	return strings.Replace(hostConfig, `"enabled": false`, `"enabled": false, "installation_id": "`+id+`"`, 1)
}

// A rig is a disk, a log, and the services that a test starts on them.
type rig struct {
	t   *testing.T
	fs  *faultfs.FS
	log *logbook
}

// newRig returns a disk with a config, or without one for "". At the end of the
// test it stops all services, which must take no time, and releases the
// operations that hang.
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

// make returns a service that is not started.
func (r *rig) make(change ...func(*rollcall.Config)) *rollcall.Service {
	r.t.Helper()
	config := rollcall.Config{ConfigPath: configPath, Logger: slog.New(r.log)}.On(r.fs)
	for _, c := range change {
		c(&config)
	}
	service, err := rollcall.New(config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.stop(service) })
	return service
}

// start returns a started service.
func (r *rig) start(change ...func(*rollcall.Config)) *rollcall.Service {
	r.t.Helper()
	service := r.make(change...)
	if err := service.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return service
}

// stop stops a service and checks that this takes no time whatever hangs,
// except for the grace of an operation that has just begun.
func (r *rig) stop(service *rollcall.Service) {
	r.t.Helper()
	begin := time.Now()
	if err := service.Stop(context.Background()); err != nil {
		r.t.Errorf("Stop: %v", err)
	}
	if d := time.Since(begin); d > 100*time.Millisecond {
		r.t.Errorf("Stop took %v", d)
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

// wantPersisted checks that the service uses the ID, and that config and anchor
// have it after a power cut.
func (r *rig) wantPersisted(service *rollcall.Service, id string) {
	r.t.Helper()
	r.wantState(service, id, true)
	disk := r.fs.Crash(faultfs.LoseUnsynced)
	if got := idIn(disk); got != id {
		r.t.Errorf("got ID %q in the config after a power cut, want %q", got, id)
	}
	if got, _ := disk.ReadFile(anchorPath); string(got) != id+"\n" {
		r.t.Errorf("got anchor %q after a power cut, want %q", got, id)
	}
}

func (r *rig) wantState(service *rollcall.Service, id string, persisted bool) {
	r.t.Helper()
	st := service.Status()
	if got := service.ID().String(); got != id || st.ID != service.ID() {
		r.t.Errorf("got ID %q, in the status %q, want %q", got, st.ID, id)
	}
	if st.Persisted != persisted {
		r.t.Errorf("got persisted %v, want %v; reason: %s", st.Persisted, persisted, st.Reason)
	}
}

// idIn returns the text at the ID's key in the config, or "".
func idIn(fs *faultfs.FS) string {
	data, _ := fs.ReadFile(configPath)
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

// wantOneInFlight checks that at most one file operation is running.
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

// A logbook is a slog.Handler that keeps the lines. No line may contain a whole
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

var wholeID = regexp.MustCompile(`(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

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
	if wholeID.Match(b.Bytes()) {
		l.t.Errorf("a whole ID was logged: %s", &b)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, logLine{rec.Level, time.Since(l.begin), b.String()})
	return nil
}

// reset drops the lines and restarts the clock.
func (l *logbook) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin, l.lines = time.Now(), nil
}

// String returns all lines.
func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all strings.Builder
	for _, line := range l.lines {
		all.WriteString(line.text + "\n")
	}
	return all.String()
}

// want checks the lines of level INFO and above. A * in a wanted line matches
// any text.
func (l *logbook) want(want ...string) {
	l.t.Helper()
	l.compare(func(line logLine) string { return line.text }, want)
}

// wantTimed is want for lines that start with the time since the last reset.
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
	parts := strings.Split(faultfs.Slashed(pattern), "*")
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
	return fmt.Sprintf("INFO Telemetry service started enabled=false has_persistent_id=%v", persistent)
}

// in prefixes a line with a time.
func in(at time.Duration, line string) string { return at.String() + " " + line }

func lazily(c *rollcall.Config) { c.Lazy = true }

// A witness is an observer that records its calls.
type witness struct {
	mu    sync.Mutex
	calls []string
}

func (w *witness) record(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, fmt.Sprintf(format, args...))
}

func (w *witness) SaveAttempted(a installid.SaveAttempt) {
	w.record("attempt %d: %s in %v", a.Attempt, a.Result, a.Duration)
}
func (w *witness) FellBack(reason string)          { w.record("fell back: %s", reason) }
func (w *witness) PersistedChanged(persisted bool) { w.record("persisted: %v", persisted) }
func (w *witness) watch(c *rollcall.Config)        { c.Observer = w }

func (w *witness) want(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.EqualFunc(w.calls, want, matches) {
		t.Errorf("the observer was called with\n\t%s\nwant\n\t%s", strings.Join(w.calls, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// hostSettings is the settings object of a host that keeps the ID itself.
type hostSettings struct {
	mu     sync.Mutex
	id     string
	onLoad func(context.Context) error
}

func (s *hostSettings) use(c *rollcall.Config) {
	c.ConfigPath, c.ID.Load, c.ID.Save = "", s.load, s.save
}

func (s *hostSettings) load(ctx context.Context) (string, error) {
	if s.onLoad != nil {
		if err := s.onLoad(ctx); err != nil {
			return "", err
		}
	}
	return s.stored(), nil
}

func (s *hostSettings) save(_ context.Context, id string) error {
	s.set(id)
	return nil
}

func (s *hostSettings) stored() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

func (s *hostSettings) set(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = id
}
