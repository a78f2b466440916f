package offzero

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/report"
)

const (
	// insideVariable marks the test process in the namespace. Its value
	// is the directory for its files.
	insideVariable = "ROLLCALL_OFFZERO_DIR"
	// denyVariable is the host's own.
	denyVariable = "MY_APP_TELEMETRY"
	// endpoint has to be looked up before anything can be sent to it.
	endpoint = "https://telemetry.example.test"

	granted   = `{"telemetry": {"enabled": true, "health_enabled": true, "update_check": true}}`
	denied    = `{"telemetry": {"enabled": false, "health_enabled": true, "update_check": false}}`
	undecided = `{"telemetry": {"health_enabled": true}}`
	updates   = `{"telemetry": {"enabled": false, "update_check": true}}`

	weeks = 14 * 24 * time.Hour
)

func TestMain(m *testing.M) {
	rollcall.RunChild()
	os.Setenv("ROLLCALL_TRUST_DISK", "true") // that of the test run may be a container's
	os.Exit(m.Run())
}

// TestOffIsZero runs TestInNamespace in a process with a network of its
// own: a loopback device, and no route to anywhere.
func TestOffIsZero(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates weeks, for nearly a minute under the race detector")
	}
	lab.Need(t, lab.Root)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestInNamespace$", "-test.v", "-test.timeout=20m")
	dir := t.TempDir()
	program := buildProgram(t) // outside, because it needs the module cache
	cmd.Env = []string{
		insideVariable + "=" + dir, programVariable + "=" + program, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH"),
		"GODEBUG=netdns=go", // the resolver of a static host
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, os.ErrPermission) {
		lab.Skip(t, "no network namespace: "+err.Error())
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInNamespace") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// A scenario is a way in which telemetry is not granted.
type scenario struct {
	name   string
	config string // "" is none, and "/" a directory in its place
	policy string
	env    map[string]string
	change func(*rollcall.Config)
	denial string // the file of denials beside the config; "" is none
}

func scenarios() []scenario {
	none := func(*rollcall.Config) {}
	host := func(decide func(context.Context) (rollcall.Consent, error)) func(*rollcall.Config) {
		return func(c *rollcall.Config) {
			c.StateDir = filepath.Dir(c.ConfigPath)
			c.ConfigPath = ""
			c.ID.Load = func(context.Context) (string, error) { return "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a", nil }
			c.ID.Save = func(context.Context, string) error { return nil }
			c.Consent.Load = func(ctx context.Context) (rollcall.Consents, error) {
				state, err := decide(ctx)
				return rollcall.Consents{Telemetry: state, Health: rollcall.Granted, UpdateCheck: state}, err
			}
		}
	}
	return []scenario{
		{"unset: no config", "", "", nil, none, ""},
		{"unset: no key", undecided, "", nil, none, ""},
		{"denied by the config", denied, "", nil, none, ""},
		{"denied by DO_NOT_TRACK", granted, "", map[string]string{"DO_NOT_TRACK": "1"}, none, ""},
		{"denied by the host's variable", granted, "", map[string]string{denyVariable: "off"}, none, ""},
		{"denied by ROLLCALL_TELEMETRY", granted, "", map[string]string{"ROLLCALL_TELEMETRY": "0"}, none, ""},
		{"denied by the policy", granted, denied, nil, none, ""},
		{"unreadable: torn config", granted[:20], "", nil, none, ""},
		{"unreadable: empty config", " ", "", nil, none, ""},
		{"unreadable: config is a directory", "/", "", nil, none, ""},
		{"unreadable: neither true nor false", strings.ReplaceAll(granted, "true", `"true"`), "", nil, none, ""},
		{"unreadable: torn policy", granted, granted[:20], nil, none, ""},
		{"unreadable: policy is a directory", granted, "/", nil, none, ""},
		{"unreadable: what was granted", strings.Replace(strings.Replace(granted, `"update_check": true`, `"update_check": null`, 1), "true", `true, "granted_schema": "1"`, 1), "", nil, none, ""},
		{"the host says no", "", "", nil, host(func(context.Context) (rollcall.Consent, error) { return rollcall.Denied, nil }), ""},
		{"the host fails", "", "", nil, host(func(context.Context) (rollcall.Consent, error) { return rollcall.Granted, errors.New("no") }), ""},
		{"the host panics", "", "", nil, host(func(context.Context) (rollcall.Consent, error) { panic("host") }), ""},
		{"the host hangs", "", "", nil, host(func(ctx context.Context) (rollcall.Consent, error) { <-ctx.Done(); return rollcall.Granted, nil }), ""},
		{"unset: no ID before consent", undecided, "", nil, func(c *rollcall.Config) { c.ID.AfterConsent = true }, ""},
		{"unset: state file", "", "", nil, func(c *rollcall.Config) { c.StateDir, c.ConfigPath = filepath.Dir(c.ConfigPath), "" }, ""},
		{"granted, and a test binary", granted, "", nil, func(c *rollcall.Config) { c.Reporting.Development = false }, ""},
		{"granted, and no endpoint", granted, "", nil, func(c *rollcall.Config) { c.Endpoint = "" }, ""},
		{"withdrawn, and the config is an old copy", granted, "", nil, none, withdrawn},
		{"updates: granted, and no update check", updates, "", nil, func(c *rollcall.Config) { c.Updates = rollcall.UpdatesConfig{} }, ""},
		{"updates: denied by DO_NOT_TRACK", updates, "", map[string]string{"DO_NOT_TRACK": "1"}, none, ""},
		{"updates: denied by the policy", updates, `{"telemetry": {"update_check": false}}`, nil, none, ""},
		{"updates: withdrawn", updates, "", nil, none, `{"update_check": {"denied_at": "2026-12-31T00:00:00Z", "by": "page"}}`},
		{"updates: neither true nor false", strings.Replace(updates, "true", "1", 1), "", nil, none, ""},
		{"unreadable: torn record of denials", granted, "", nil, none, withdrawn[:20]},
		{"unreadable: record of denials is a directory", granted, "", nil, none, "/"},
		{"retired ID in the environment", granted, "", map[string]string{rollcall.DefaultIDVariable: retiredID}, retired, ""},
	}
}

// TestInNamespace is not a test of its own: TestOffIsZero runs it.
func TestInNamespace(t *testing.T) {
	dir := os.Getenv(insideVariable)
	if dir == "" {
		return
	}
	network := setUp(t, dir)
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			before := network.count(t)
			sc.run(t)
			if made := network.count(t).since(before); made != (traffic{}) {
				t.Errorf("got %+v, want nothing at all", made)
			}
		})
	}
	testVerbs(t, network, os.Getenv(programVariable))
	t.Run("isolated", func(t *testing.T) {
		before := network.count(t)
		sc := scenario{"withdrawn", granted, "", nil, func(c *rollcall.Config) { c.Isolate = true }, withdrawn}
		everything(t, sc.service(t, slog.LevelDebug))
		if made := network.count(t).since(before); made != (traffic{}) {
			t.Errorf("got %+v, want nothing at all", made)
		}
	})

	// The test can fail: with a grant, the same calls are seen.
	t.Run("control: the update check alone", func(t *testing.T) {
		before := network.count(t)
		scenario{"granted", updates, "", nil, func(*rollcall.Config) {}, ""}.run(t)
		if made := network.count(t).since(before); made.queries == 0 || made.packets == 0 {
			t.Errorf("got %+v, want some: nothing here would be noticed", made)
		}
	})
	t.Run("control: granted", func(t *testing.T) {
		before := network.count(t)
		scenario{"granted", granted, "", nil, func(*rollcall.Config) {}, ""}.run(t)
		made := network.count(t).since(before)
		if made.queries == 0 || made.packets == 0 || made.datagrams == 0 {
			t.Errorf("got %+v, want some of each: nothing here would be noticed", made)
		}
		t.Logf("granted: %+v", made)
	})
	t.Run("control: granted, send now", func(t *testing.T) {
		before := network.count(t)
		everything(t, scenario{"granted", granted, "", nil, func(*rollcall.Config) {}, ""}.service(t, slog.LevelDebug))
		if made := network.count(t).since(before); made.queries == 0 || made.packets == 0 {
			t.Errorf("got %+v, want some: nothing here would be noticed", made)
		}
	})
}

// run lets two weeks pass for a service that runs all the time, for
// services that are started once a day, and for calls to services that
// are not running.
func (sc scenario) run(t *testing.T) {
	t.Helper()
	for name, value := range sc.env {
		t.Setenv(name, value)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))) // a clock that the sender trusts
		long := sc.service(t, slog.LevelInfo)
		if err := long.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for begin := time.Now(); time.Since(begin) < weeks; time.Sleep(23 * time.Hour) {
			everything(t, sc.service(t, slog.LevelInfo))
			look(t, long)
		}
		if err := long.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// everything calls whatever a host and its operator can call, except
// asking the collector to forget.
func everything(t *testing.T, service *rollcall.Service) {
	t.Helper()
	look(t, service)
	if err := service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	look(t, service)
	service.Reset(t.Context()) // some of them fail
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := service.Stop(ctx); err != nil {
		t.Error(err)
	}
	look(t, service)
}

// look calls what changes nothing, or is refused.
func look(t *testing.T, service *rollcall.Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	service.Status()
	service.Decisions(ctx)
	service.ReportFault(rollcall.Fault{Source: "test", Component: "disk", Reason: "full"})
	slog.New(rollcall.FaultHandler(service, nil, rollcall.FaultHandlerOptions{Source: "log", Component: "main"})).Error("no")
	service.Preview(ctx)
	service.SendIfDue(ctx)
	service.SendNow(ctx)
	service.CheckUpdate(ctx)
	service.Update()
	service.ID()
}

// service returns a service of the scenario, in a directory of its own.
func (sc scenario) service(t *testing.T, level slog.Level) *rollcall.Service {
	t.Helper()
	dir := t.TempDir()
	c := rollcall.Config{
		App: "my-app", Version: "1.2.3", Endpoint: endpoint,
		Reporting:  rollcall.ReportingConfig{Development: true},
		Consent:    rollcall.ConsentConfig{DenyVariable: denyVariable, PolicyPath: filepath.Join(dir, "etc", "policy.json")},
		Updates:    rollcall.UpdatesConfig{URLPrefix: "https://example.test/"},
		ConfigPath: filepath.Join(dir, "config", "config.json"),
		Facts: []rollcall.Fact{{
			Declaration: report.BoolFact("tls", "Shows whether it is in use."),
			Value:       func(context.Context) (any, error) { return true, nil },
		}},
		Logger: slog.New(slog.NewTextHandler(writer{t}, &slog.HandlerOptions{Level: level})),
	}
	for path, text := range map[string]string{c.ConfigPath: sc.config, c.Consent.PolicyPath: sc.policy, denialsOf(c.ConfigPath): sc.denial} {
		if err := put(path, text); err != nil {
			t.Fatal(err)
		}
	}
	sc.change(&c)
	service, err := rollcall.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// denialsOf returns the path of the denials beside a config.
func denialsOf(config string) string {
	return filepath.Join(filepath.Dir(config), "."+filepath.Base(config)+".telemetry-denied")
}

const (
	withdrawn = `{"telemetry": {"denied_at": "2026-12-31T00:00:00Z", "by": "rollcall disable"}, "update_check": {"by": "rollcall disable"}}`
	retiredID = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"
)

// retired lets the operator reset an ID before the service has it.
func retired(c *rollcall.Config) {
	before := *c
	before.ID.Variable = "NO_SUCH_VARIABLE"
	before.ID.Load, before.ID.Save = nil, nil
	text := strings.Replace(strings.Replace(granted, "true", `true, "installation_id": "`+retiredID+`"`, 1), `"update_check": true`, `"update_check": false`, 1)
	err := put(c.ConfigPath, text)
	if err == nil {
		var service *rollcall.Service
		if service, err = rollcall.New(before); err == nil {
			_, err = service.Reset(context.Background())
		}
	}
	if err != nil {
		panic(err)
	}
}

func put(path, text string) error {
	switch text {
	case "":
		return nil
	case "/":
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// A writer discards everything, but fails the test for what must not be
// logged.
type writer struct{ t *testing.T }

func (w writer) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "panic") {
		w.t.Errorf("logged: %s", line)
	}
	return len(line), nil
}
