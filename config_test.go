package rollcall_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

func noLoad(context.Context) (string, error) { return "", errors.New("not called") }
func noSave(context.Context, string) error   { return errors.New("not called") }

// TestNonsense: a value that makes no sense is an error with its field.
func TestNonsense(t *testing.T) {
	type config = rollcall.Config
	tests := []struct {
		field, name string
		set         func(*config)
	}{
		{"ConfigPath", "no place", func(c *config) { c.ConfigPath = "" }},
		{"ConfigPath", "two places", func(c *config) { c.ID.Load, c.ID.Save = noLoad, noSave }},
		{"ConfigPath", "a directory", func(c *config) { c.ConfigPath = "config/" }},
		{"ConfigPath", "the root", func(c *config) { c.ConfigPath = "/" }},
		{"ConfigPath", "NUL", func(c *config) { c.ConfigPath = "config\x00.json" }},
		{"ID.Key", "empty name", func(c *config) { c.ID.Key = "telemetry..id" }},
		{"ID.Key", "only a dot", func(c *config) { c.ID.Key = "." }},
		{"ID.Key", "not UTF-8", func(c *config) { c.ID.Key = "a.\xff" }},
		{"Consent.Key", "empty name", func(c *config) { c.Consent.Key = "telemetry." }},
		{"Consent.Key", "not UTF-8", func(c *config) { c.Consent.Key = "\xff" }},
		{"Consent.Key", "same as the ID's", func(c *config) { c.Consent.Key = rollcall.DefaultIDKey }},
		{"Consent.Key", "around the ID's", func(c *config) { c.Consent.Key = "telemetry" }},
		{"Consent.Key", "inside the ID's", func(c *config) { c.Consent.Key = rollcall.DefaultIDKey + ".on" }},
		{"ID.Save", "missing", func(c *config) { c.ConfigPath, c.ID.Load = "", noLoad }},
		{"ID.Load", "missing", func(c *config) { c.ConfigPath, c.ID.Save = "", noSave }},
		{"App", "upper case", func(c *config) { c.ConfigPath, c.App = "", "MyApp" }},
		{"App", "a path", func(c *config) { c.ConfigPath, c.App = "", "../etc" }},
		{"App", "dots", func(c *config) { c.ConfigPath, c.App = "", ".." }},
		{"App", "blank", func(c *config) { c.ConfigPath, c.App = "", " " }},
		{"App", "newline", func(c *config) { c.ConfigPath, c.App = "", "app\n" }},
		{"App", "too long", func(c *config) { c.ConfigPath, c.App = "", strings.Repeat("a", 65) }},
		{"StateDir", "relative", func(c *config) { c.StateDir = "state" }},
		{"StateDir", "dot", func(c *config) { c.StateDir = "." }},
		{"StateDir", "root", func(c *config) { c.StateDir = faultfs.Abs("/") }},
		{"StateDir", "another spelling of the root", func(c *config) { c.StateDir = faultfs.Abs("//x/..") }},
		{"StateDir", "NUL", func(c *config) { c.StateDir = "/a\x00" }},
		{"ID.Variable", "an assignment", func(c *config) { c.ID.Variable = "A=B" }},
		{"ID.Variable", "NUL", func(c *config) { c.ID.Variable = "A\x00" }},
		{"ID.Variable", "not an ID in it", func(c *config) { c.ID.Variable = "TEST_BAD_ID" }},
		{"Consent.DenyVariable", "a line end", func(c *config) { c.Consent.DenyVariable = "MYAPP_TELEMETRY\r" }},
		{"Consent.DenyVariable", "quotes", func(c *config) { c.Consent.DenyVariable = `"MYAPP_TELEMETRY"` }},
		{"Consent.PolicyPath", "a line end", func(c *config) { c.Consent.PolicyPath = faultfs.Abs("/etc/policy.json") + "\r" }},
		{"Reporting.Client", "upper case", func(c *config) { c.Reporting.Client.Name = "MyAgent" }},
		{"Reporting.Transport", "with a proxy", func(c *config) {
			c.Reporting.Transport, c.Reporting.Proxy = http.DefaultTransport, "http://proxy.example"
		}},
		{"Reporting.Client", "a version alone", func(c *config) { c.Reporting.Client.Version = "1.0.0" }},
		{"Limits.Attempts", "negative", func(c *config) { c.Limits.Attempts = -1 }},
		{"Limits.Attempts", "too many", func(c *config) { c.Limits.Attempts = 101 }},
		{"Limits.AttemptTimeout", "negative", func(c *config) { c.Limits.AttemptTimeout = -time.Second }},
		{"Limits.AttemptTimeout", "too long", func(c *config) { c.Limits.AttemptTimeout = 24*time.Hour + 1 }},
		{"Limits.StartTimeout", "negative", func(c *config) { c.Limits.StartTimeout = -1 }},
		{"Limits.StartTimeout", "too long", func(c *config) { c.Limits.StartTimeout = 1 << 62 }},
		{"Limits.Backoff", "negative", func(c *config) { c.Limits.Backoff = -1 }},
		{"Limits.Backoff", "too long", func(c *config) { c.Limits.Backoff = 25 * time.Hour }},
		{"Isolate", "with functions", func(c *config) { c.ConfigPath, c.ID.Load, c.ID.Save, c.Isolate = "", noLoad, noSave, true }},
		{"Consent.Load", "with Save alone", func(c *config) { c.Consent.Save = func(context.Context, rollcall.Consents) error { return nil } }},
		{"Consent.Load", "with Where alone", func(c *config) { c.Consent.Where = "Settings" }},
		{"ID.AfterConsent", "nowhere to read it", func(c *config) { c.ConfigPath, c.App, c.ID.AfterConsent = "", "app", true }},
	}
	t.Setenv("TEST_BAD_ID", "sekret")
	for _, tt := range tests {
		t.Run(tt.field+"/"+tt.name, func(t *testing.T) {
			disk := faultfs.New()
			config := rollcall.Config{ConfigPath: configPath}.On(disk)
			tt.set(&config)
			service, err := rollcall.New(config)
			if err == nil {
				t.Fatal("got no error")
			}
			var wrong *rollcall.ConfigError
			if !errors.As(err, &wrong) || wrong.Field != tt.field || !strings.HasPrefix(err.Error(), "rollcall: Config."+tt.field+": ") {
				t.Errorf("got %#v, want a ConfigError of %s", err, tt.field)
			}
			if strings.Contains(err.Error(), "sekret") {
				t.Errorf("the error quotes the value: %v", err)
			}
			if service != nil {
				t.Error("got a service too")
			}
			// Reading the stored ID does not need what is about saving it,
			// about sending or about what denies.
			unused := func(prefix string) bool { return strings.HasPrefix(tt.field, prefix) }
			if !slices.ContainsFunc([]string{"Limits.", "Reporting.", "Consent.DenyVariable", "Consent.PolicyPath"}, unused) {
				if _, err := config.Stored(t.Context()); !errors.As(err, &wrong) || wrong.Field != tt.field {
					t.Errorf("got %v from Stored, want a ConfigError of %s", err, tt.field)
				}
			}
			if log := disk.Log(); len(log) > 0 {
				t.Errorf("it used the disk: %v", log)
			}
		})
	}
}

// TestBounds uses the greatest and the smallest values that make sense.
func TestBounds(t *testing.T) {
	for name, set := range map[string]func(*rollcall.Config){
		"largest": func(c *rollcall.Config) { c.Limits.Attempts, c.Limits.AttemptTimeout = 100, 24*time.Hour },
		"smallest": func(c *rollcall.Config) {
			c.Limits.Attempts, c.Limits.AttemptTimeout, c.Limits.StartTimeout, c.Limits.Backoff = 1, 1, 1, 1
		},
		"other keys": func(c *rollcall.Config) { c.ID.Key, c.Consent.Key = "id", "a.b.c.d" },
		"longest app": func(c *rollcall.Config) {
			c.ConfigPath, c.App, c.StateDir = "", strings.Repeat("a", 64), faultfs.Abs("/s")
		},
		"relative path": func(c *rollcall.Config) { c.ConfigPath = "config.json" },
		"functions":     func(c *rollcall.Config) { c.ConfigPath, c.ID.Load, c.ID.Save = "", noLoad, noSave },
	} {
		t.Run(name, func(t *testing.T) {
			config := rollcall.Config{ConfigPath: configPath}.On(faultfs.New())
			set(&config)
			if _, err := rollcall.New(config); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDefaults: zero values mean the documented ones. It starts with both on a
// disk that hangs.
func TestDefaults(t *testing.T) {
	logOf := func(set func(*rollcall.Config)) string {
		var lines []string
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, hostConfig)
			r.fs.Inject(faultfs.Rule{Op: faultfs.OpRead, Hang: true})
			id := r.start(set).ID().Short()
			for _, line := range r.log.lines {
				lines = append(lines, in(line.at, strings.ReplaceAll(line.text, id, "ID")))
			}
		})
		return strings.Join(lines, "\n")
	}
	zero := logOf(func(*rollcall.Config) {})
	spelled := logOf(func(c *rollcall.Config) {
		c.ID.Key, c.Consent.Key, c.ID.Variable = "telemetry.installation_id", "telemetry.enabled", "ROLLCALL_INSTALLATION_ID"
		c.Limits.Attempts, c.Limits.AttemptTimeout, c.Limits.StartTimeout, c.Limits.Backoff = 3, 5*time.Second, 20*time.Second, time.Second
	})
	if zero != spelled {
		t.Errorf("got log with zero values\n%s\nand with the documented ones\n%s", zero, spelled)
	}
}

// TestOtherLimits: the backoff doubles after each attempt.
func TestOtherLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Hang: true})
		service := r.start(func(c *rollcall.Config) {
			c.Limits.Attempts, c.Limits.AttemptTimeout, c.Limits.StartTimeout, c.Limits.Backoff = 5, time.Second, time.Hour, 10*time.Second
		})
		five := func(attempt int) string {
			return strings.Replace(timedOut(attempt), "max_retries=3", "max_retries=5", 1)
		}
		r.log.wantTimed(
			in(0, generated(service.ID())),
			in(1*time.Second, five(1)),
			in(12*time.Second, five(2)),
			in(33*time.Second, five(3)),
			in(74*time.Second, five(4)),
			in(155*time.Second, five(5)),
			in(155*time.Second, inMemory(service.ID(), "*timed out*")),
			in(155*time.Second, started(false)),
		)
	})
}

// TestOtherKeys keeps the ID and the consent elsewhere in the config.
func TestOtherKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		service := r.start(func(c *rollcall.Config) { c.ID.Key, c.Consent.Key = "stats.id", "stats.on.please" })
		id := service.ID().String()
		r.wantFile(configPath, "{\n  \"stats\": {\n    \"on\": {\n      \"please\": false\n    },\n    \"id\": \""+id+"\"\n  }\n}\n")
		if st := service.Status(); st.Consent.Source.String() != "config key stats.on.please" {
			t.Errorf("got consent by %q", st.Consent.Source.String())
		}
	})
}

// TestNewDoesNothing is rule 1 of the design.
func TestNewDoesNothing(t *testing.T) {
	for name, set := range map[string]func(*rollcall.Config){
		"config":    func(*rollcall.Config) {},
		"functions": func(c *rollcall.Config) { c.ConfigPath, c.ID.Load, c.ID.Save = "", noLoad, noSave },
		"state":     func(c *rollcall.Config) { c.ConfigPath, c.App, c.StateDir = "", "app", faultfs.Abs("/var/lib/app") },
	} {
		t.Run(name, func(t *testing.T) {
			disk := faultfs.New()
			goroutines := runtime.NumGoroutine()
			config := rollcall.Config{ConfigPath: configPath}.On(disk)
			set(&config)
			service, err := rollcall.New(config)
			if err != nil {
				t.Fatal(err)
			}
			if n := runtime.NumGoroutine(); n > goroutines {
				t.Errorf("%d more goroutines", n-goroutines)
			}
			if !service.ID().IsZero() || service.Status().Settled {
				t.Errorf("got %+v before Start", service.Status())
			}
			if log := disk.Log(); len(log) > 0 {
				t.Errorf("it used the disk: %v", log)
			}
		})
	}
}

// TestRelativePath: New resolves it, so a later working directory is irrelevant.
func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	service, err := rollcall.New(rollcall.Config{ConfigPath: "config/config.json"})
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	service.Start(t.Context())
	defer service.Stop(t.Context())
	if _, err := os.Stat(filepath.Join(dir, "config", "config.json")); err != nil {
		t.Error(err)
	}
}

// TestIsolateNeedsTheHook runs in a process that has not called RunChild.
func TestIsolateNeedsTheHook(t *testing.T) {
	if os.Getenv(noHook) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestIsolateNeedsTheHook$", "-test.count=1")
		cmd.Env = append(os.Environ(), noHook+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	_, err := rollcall.New(rollcall.Config{ConfigPath: configPath, Isolate: true})
	if err == nil || !strings.HasPrefix(err.Error(), "rollcall: Config.Isolate: ") || !strings.Contains(err.Error(), "RunChild") {
		t.Errorf("got error %v", err)
	}
}
