package rollcall_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

const (
	granted      = `{"telemetry": {"enabled": true}}` + "\n"
	grantedBoth  = `{"telemetry": {"enabled": true, "health_enabled": true}}` + "\n"
	undecided    = "{}\n"
	denyVariable = "MY_APP_TELEMETRY"
)

// consentVariables can deny, and ciVariables mark builds of CI.
var (
	consentVariables = []string{"DO_NOT_TRACK", "ROLLCALL_TELEMETRY", denyVariable}
	ciVariables      = []string{"CI", "BUILD_ID", "JENKINS_URL", "TEAMCITY_VERSION", "TF_BUILD"}
)

// A site is a directory with a config and a policy file, a collector, and the
// services that a test starts there.
type site struct {
	t         *testing.T
	dir       string
	config    string // path
	policy    string // path; the file does not exist at first
	collector *rollcalltest.Collector
	log       *logbook
}

// newSite returns a site with a config, or without one for "". Nothing in the
// environment decides anything.
func newSite(t *testing.T, config string) *site {
	t.Helper()
	for _, name := range slices.Concat(consentVariables, ciVariables, []string{rollcall.DefaultIDVariable, "STATE_DIRECTORY"}) {
		t.Setenv(name, "")
	}
	dir := t.TempDir()
	s := &site{
		t: t, dir: dir,
		config:    filepath.Join(dir, "config", "config.json"),
		policy:    filepath.Join(dir, "etc", "policy.json"),
		collector: rollcalltest.NewCollector(t),
		log:       &logbook{t: t, begin: time.Now()},
	}
	if config != "" {
		s.write(s.config, config)
	}
	return s
}

// make returns a service that is not started.
func (s *site) make(change ...func(*rollcall.Config)) *rollcall.Service {
	s.t.Helper()
	config := rollcall.Config{
		App:        "my-app",
		ConfigPath: s.config,
		Consent:    rollcall.ConsentConfig{PolicyPath: s.policy, DenyVariable: denyVariable},
		Endpoint:   s.collector.URL,
		Version:    "v1.2.3",
		Reporting:  rollcall.ReportingConfig{Development: true}, // tests are test binaries
		Logger:     slog.New(s.log),
	}
	for _, c := range change {
		c(&config)
	}
	service, err := rollcall.New(config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.stop(service) })
	return service
}

// start returns a started service.
func (s *site) start(change ...func(*rollcall.Config)) *rollcall.Service {
	s.t.Helper()
	service := s.make(change...)
	if err := service.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return service
}

func (s *site) stop(service *rollcall.Service) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), atOnce)
	defer cancel()
	if err := service.Stop(ctx); err != nil {
		s.t.Errorf("Stop: %v", err)
	}
}

func (s *site) write(path, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(path string) string {
	s.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(data)
}

func (s *site) wantConfig(want string) {
	s.t.Helper()
	if got := s.read(s.config); got != want {
		s.t.Errorf("got config\n%s\nwant\n%s", got, want)
	}
}

var installationID = regexp.MustCompile(`,?\s*"installation_id": "[^"]*"`)

// wantConfigButID checks the config except for the ID in it.
func (s *site) wantConfigButID(want string) {
	s.t.Helper()
	if got := installationID.ReplaceAllString(s.read(s.config), ""); got != want {
		s.t.Errorf("got config without the ID\n%s\nwant\n%s", got, want)
	}
}

// files returns everything in the site's directory: names with modes, times and
// contents.
func (s *site) files() map[string]string {
	s.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String() + " " + info.ModTime().String()
		if info.Mode().IsRegular() {
			text += "\n" + s.read(path)
		}
		files[path] = text
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// wantUntouched checks that nothing was written since files returned before.
func (s *site) wantUntouched(before map[string]string) {
	s.t.Helper()
	if after := s.files(); !maps.Equal(before, after) {
		s.t.Errorf("files changed: got\n%q\nwant\n%q", after, before)
	}
}

// wantRequests checks all requests that the collector received.
func (s *site) wantRequests(want ...string) {
	s.t.Helper()
	var got []string
	for _, r := range s.collector.Requests() {
		got = append(got, r.Method+" "+r.Path)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("got requests %q, want %q", got, want)
	}
}

const (
	postHeartbeat = "POST /v1/heartbeat"
	postHealth    = "POST /v1/health"
)

// lastHeartbeat returns the last heartbeat that was accepted.
func (s *site) lastHeartbeat() report.Heartbeat {
	s.t.Helper()
	heartbeats := s.collector.Heartbeats()
	if len(heartbeats) == 0 {
		s.t.Fatal("no heartbeat was accepted")
	}
	return heartbeats[len(heartbeats)-1]
}

// lastHealth returns the last health report that was accepted.
func (s *site) lastHealth() report.HealthReport {
	s.t.Helper()
	reports := s.collector.HealthReports()
	if len(reports) == 0 {
		s.t.Fatal("no health report was accepted")
	}
	return reports[len(reports)-1]
}

// hang makes requests to a path hang until they are canceled. begun and gone
// receive one value for each.
func (s *site) hang(path string) (begun, gone <-chan struct{}) {
	in, out := make(chan struct{}, 10), make(chan struct{}, 10)
	s.collector.Answer(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		in <- struct{}{}
		<-r.Context().Done()
		out <- struct{}{}
		return true
	})
	return in, out
}

func send(t *testing.T, service *rollcall.Service) {
	t.Helper()
	if err := service.SendNow(t.Context()); err != nil {
		t.Fatalf("SendNow: %v", err)
	}
}

func preview(t *testing.T, service *rollcall.Service) rollcall.Preview {
	t.Helper()
	p, err := service.Preview(t.Context())
	if err != nil {
		t.Fatalf("Preview: %v", err)
	}
	return p
}

func wantDecision(t *testing.T, what string, got rollcall.Decision, state rollcall.Consent, source string) {
	t.Helper()
	if got.State != state || !matches(faultfs.Slashed(got.Source.String()), faultfs.Slashed(source)) {
		t.Errorf("%s: got %v by %q, want %v by %q", what, got.State, got.Source, state, source)
	}
}

// withdrawnBy describes the source of a recorded denial.
func withdrawnBy(who string) string { return "withdrawn by " + who + " on *; to grant again, use *" }

func asSendError(err error) (failed *rollcall.SendError, ok bool) {
	ok = errors.As(err, &failed)
	return failed, ok
}

// mutations returns the operations that could have changed something.
func mutations(disk *faultfs.FS) []string {
	var found []string
	for _, e := range disk.Log() {
		if e.Mutates() {
			found = append(found, e.String())
		}
	}
	return found
}

const (
	// someTime bounds waits for events that must happen, on the slowest machine.
	someTime = 2 * time.Minute
	// atOnce bounds events that should be immediate, on a busy machine. It is
	// shorter than an attempt to report, so waiting for one is noticed.
	atOnce = 20 * time.Second
)

// within fails the test unless something happens within the limit.
func within(t *testing.T, limit time.Duration, what string, happens <-chan struct{}) {
	t.Helper()
	select {
	case <-happens:
	case <-time.After(limit):
		t.Fatalf("timed out after %v: %s", limit, what)
	}
}

// fact returns a fact whose function returns a value.
func fact(declaration report.Fact, value any) rollcall.Fact {
	return rollcall.Fact{Declaration: declaration, Value: func(context.Context) (any, error) { return value, nil }}
}

var sentAt = regexp.MustCompile(`"sent_at":"[^"]*"`)

// butTime returns a report without its time, which a preview cannot know.
func butTime(body []byte) []byte { return sentAt.ReplaceAll(body, []byte(`"sent_at":"…"`)) }

func wantBody(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(butTime(got), butTime(want)) {
		t.Errorf("%s: got\n%s\nwant, except for sent_at\n%s", what, got, want)
	}
}

func contains(t *testing.T, what, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%s: got %q, want %q in it", what, text, part)
	}
}

func parseObject(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return object
}
