package rollcall_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// The ID lives in the host's JSON config. Nothing else in it changes.
func Example() {
	dir, remove := tempDir()
	defer remove()
	config := filepath.Join(dir, "config.json")
	os.WriteFile(config, []byte("{\n  // where to listen\n  \"port\": 8080,\n}\n"), 0o600)

	service, err := rollcall.New(rollcall.Config{ConfigPath: config, Logger: slog.Default()})
	if err != nil {
		fmt.Println(err) // a mistake in Config; service is nil, and its methods do nothing
	}
	service.Start(context.Background())
	defer service.Stop(context.Background())

	fmt.Println("persisted:", service.Status().Persisted)
	data, _ := os.ReadFile(config)
	fmt.Print(strings.Replace(string(data), service.ID().String(), "THE ID", 1))
	// Output:
	// persisted: true
	// {
	//   // where to listen
	//   "port": 8080,
	//   "telemetry": {
	//     "installation_id": "THE ID",
	//   },
	// }
}

// Without a JSON config, the ID lives in a state file: in StateDir if that is
// set, as here, in $STATE_DIRECTORY, which systemd sets, or in the user's state
// directory.
func ExampleConfig_stateFile() {
	dir, remove := tempDir()
	defer remove()
	service, err := rollcall.New(rollcall.Config{App: "myapp", StateDir: dir})
	if err != nil {
		panic(err)
	}
	service.Start(context.Background())
	defer service.Stop(context.Background())

	data, _ := os.ReadFile(filepath.Join(dir, "installation-id"))
	fmt.Println("in the file:", string(data) == service.ID().String()+"\n")
	// Output: in the file: true
}

// With StateDir the anchor lies outside the config's directory, so the ID is
// persisted even if the config is read-only.
func ExampleConfig_stateDir() {
	dir, remove := tempDir()
	defer remove()
	config, state := filepath.Join(dir, "config.json"), filepath.Join(dir, "state")
	os.WriteFile(config, []byte(`{"port": 8080}`), 0o444)

	service, err := rollcall.New(rollcall.Config{ConfigPath: config, StateDir: state})
	if err != nil {
		panic(err)
	}
	service.Start(context.Background())
	defer service.Stop(context.Background())

	fmt.Println("persisted:", service.Status().Persisted)
	data, _ := os.ReadFile(config)
	fmt.Println(string(data))
	// Output:
	// persisted: true
	// {"port": 8080}
}

// settings stands for the settings object of a host, which saves itself.
type settings struct {
	mu             sync.Mutex
	installationID string
}

func (s *settings) load(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.installationID, nil
}

func (s *settings) save(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.installationID = id
	return nil
}

// A host with a settings object provides two functions. They may be slow, hang,
// fail or panic.
func ExampleConfig_loadAndSave() {
	var settings settings
	service, err := rollcall.New(rollcall.Config{ID: rollcall.IDConfig{Load: settings.load, Save: settings.save}})
	if err != nil {
		panic(err)
	}
	service.Start(context.Background())
	defer service.Stop(context.Background())

	fmt.Println("saved:", settings.installationID == service.ID().String())
	// Output: saved: true
}

// A deployment can inject the ID with an environment variable. Then no ID is
// read or written.
func ExampleConfig_environment() {
	os.Setenv("MYAPP_INSTALLATION_ID", "6f1d9b0e-6a51-4f0c-8d2c-3f5a7f1f6f10")
	defer os.Unsetenv("MYAPP_INSTALLATION_ID")

	dir, remove := tempDir()
	defer remove()
	service, err := rollcall.New(rollcall.Config{
		ConfigPath: filepath.Join(dir, "config.json"),
		ID:         rollcall.IDConfig{Variable: "MYAPP_INSTALLATION_ID"},
	})
	if err != nil {
		panic(err)
	}
	service.Start(context.Background())
	defer service.Stop(context.Background())

	fmt.Println(service.ID().Short(), "from the", service.Status().Place)
	// Output: 6f1d9b0e... from the environment variable MYAPP_INSTALLATION_ID
}

// With Lazy, Start does not wait for the disk. Code that needs the stored ID
// waits later.
func ExampleConfig_lazy() {
	dir, remove := tempDir()
	defer remove()
	service, err := rollcall.New(rollcall.Config{
		ConfigPath: filepath.Join(dir, "config.json"),
		Lazy:       true,
	})
	if err != nil {
		panic(err)
	}
	service.Start(context.Background())
	defer service.Stop(context.Background())
	fmt.Println("an ID at once:", !service.ID().IsZero())

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := service.WaitSettled(ctx); err != nil {
		panic(err)
	}
	fmt.Println("persisted:", service.Status().Persisted)
	// Output:
	// an ID at once: true
	// persisted: true
}

// With AfterConsent no ID is created before the operator grants telemetry.
func ExampleConfig_afterConsent() {
	os.Unsetenv("DO_NOT_TRACK") // which would deny whatever the config says
	dir, remove := tempDir()
	defer remove()
	for _, enabled := range []bool{false, true} {
		config := filepath.Join(dir, "config.json")
		os.WriteFile(config, fmt.Appendf(nil, `{"telemetry": {"enabled": %t}}`, enabled), 0o600)

		service, err := rollcall.New(rollcall.Config{ConfigPath: config, ID: rollcall.IDConfig{AfterConsent: true}})
		if err != nil {
			panic(err)
		}
		service.Start(context.Background())
		fmt.Printf("consent %s, an ID: %t\n", service.Status().Consent.State, !service.ID().IsZero())
		service.Stop(context.Background())
	}
	// Output:
	// consent denied, an ID: false
	// consent granted, an ID: true
}

// With Isolate, a child process does the file work. The host calls RunChild
// first in main; examples/host is a whole program.
func ExampleConfig_isolate() {
	main := func() {
		rollcall.RunChild()

		service, err := rollcall.New(rollcall.Config{ConfigPath: "config.json", Isolate: true})
		if err != nil {
			panic(err)
		}
		service.Start(context.Background())
		defer service.Stop(context.Background())
	}
	_ = main
}

// Run starts, waits for the context, and stops, for hosts that run their parts
// concurrently.
func ExampleService_Run() {
	dir, remove := tempDir()
	defer remove()
	service, err := rollcall.New(rollcall.Config{ConfigPath: filepath.Join(dir, "config.json")})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var host sync.WaitGroup
	host.Go(func() {
		if err := service.Run(ctx); err != nil {
			panic(err)
		}
	})

	service.WaitSettled(ctx)
	fmt.Println("persisted:", service.Status().Persisted)
	cancel()
	host.Wait()
	// Output: persisted: true
}

// The logger exists before the service, which logs to it; the handler that counts
// faults needs the service. So the service gets the plain logger, and the rest
// of the host one that also counts.
func ExampleFaultHandler() {
	dir, remove := tempDir()
	defer remove()
	handler := slog.NewTextHandler(io.Discard, nil)
	service, err := rollcall.New(rollcall.Config{ConfigPath: filepath.Join(dir, "config.json"), Logger: slog.New(handler)})
	if err != nil {
		panic(err)
	}
	log := slog.New(rollcall.FaultHandler(service, handler, rollcall.FaultHandlerOptions{
		Source: "log", Component: "main", ComponentKey: "component",
		Reasons: map[string]string{"Backup failed": "backup-failed"},
	}))
	log.Error("Backup failed", "component", "storage", "path", "/srv/data")
	p, err := service.Preview(context.Background())
	if err != nil {
		panic(err)
	}
	var report struct {
		Faults []struct{ Component, Reason string }
	}
	json.Unmarshal(p.Health, &report)
	fmt.Println(report.Faults) // codes only, no message and no path
	// Output: [{storage backup-failed}]
}

// A process reloads with another service: New checks the new Config while the
// old service still runs. What was sent today is not sent again.
func ExampleService_Stop() {
	dir, remove := tempDir()
	defer remove()
	ctx := context.Background()
	config := rollcall.Config{ConfigPath: filepath.Join(dir, "config.json")}
	service, err := rollcall.New(config)
	if err != nil {
		panic(err)
	}
	service.Start(ctx)
	before := service.ID()

	config.Consent.Hint = "see Settings > Privacy" // the host's settings changed
	if reloaded, err := rollcall.New(config); err == nil {
		service.Stop(ctx)
		service = reloaded
		service.Start(ctx)
	}
	defer service.Stop(ctx)
	fmt.Println("the same ID:", service.ID() == before)
	// Output: the same ID: true
}

// tempDir returns a directory for an example, and a function that removes it.
func tempDir() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "rollcall-example-")
	if err != nil {
		panic(err)
	}
	return dir, func() { os.RemoveAll(dir) }
}
