package hosts

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/semver"
)

// What the library may add to a host's go.sum: itself, golang.org/x/sys, and
// one more.
const (
	maxSumModules = 3
	maxSumLines   = 6
)

const telemetry = `package main

import (
	"context"

	"github.com/rollcall-dev/rollcall"
)

func telemetry(ctx context.Context) {
	service, _ := rollcall.New(rollcall.Config{ConfigPath: "config.json"})
	service.Start(ctx)
	defer service.Stop(ctx)
}
`

const telemetryAndAll = `package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/metrics"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/rollcall-dev/rollcall/report"
)

var (
	_ = page.Handler
	_ = report.BoolFact
	_ = installid.Parse
)

func telemetry(ctx context.Context) {
	observer, _ := metrics.New(prometheus.NewRegistry())
	service, _ := rollcall.New(rollcall.Config{ConfigPath: "config.json", Observer: observer})
	service.Start(ctx)
	defer service.Stop(ctx)
}
`

// TestHosts adds the library to programs that pin what they use, and compares
// the versions that the go command selects before and after.
func TestHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	tests := map[string]struct {
		requires  string
		imports   string
		telemetry string
	}{
		"with a package that later versions of its module lack": {
			requires:  "golang.org/x/crypto v0.31.0",
			imports:   `_ "golang.org/x/crypto/openpgp"`,
			telemetry: telemetry,
		},
		"with everything pinned": {
			requires: "golang.org/x/net v0.33.0\ngolang.org/x/sys v0.28.0\ngoogle.golang.org/protobuf v1.36.1\n" +
				"github.com/prometheus/client_golang v1.20.5\nmodernc.org/sqlite v1.34.4",
			imports: "_ \"golang.org/x/net/html\"\n_ \"golang.org/x/sys/unix\"\n_ \"google.golang.org/protobuf/proto\"\n" +
				"_ \"github.com/prometheus/client_golang/prometheus\"\n_ \"modernc.org/sqlite\"",
			telemetry: telemetryAndAll,
		},
		"with older versions pinned": {
			requires: "golang.org/x/sys v0.26.0\ngoogle.golang.org/protobuf v1.33.0\ngithub.com/prometheus/client_golang v1.19.1",
			imports: "_ \"golang.org/x/sys/unix\"\n_ \"google.golang.org/protobuf/proto\"\n" +
				"_ \"github.com/prometheus/client_golang/prometheus\"",
			telemetry: telemetryAndAll,
		},
		"with nothing": {telemetry: telemetry},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, map[string]string{
				"go.mod":  "module example.com/host\n\ngo 1.25\n\nrequire (\n" + tt.requires + "\n)\n",
				"main.go": "package main\n\nimport (\n" + tt.imports + "\n)\n\nfunc main() {}\n",
			})
			h.run(t, "mod", "tidy")
			h.run(t, "build", "-o", os.DevNull, ".")
			before, sumBefore := h.selected(t), h.sum(t)

			if err := os.WriteFile(filepath.Join(h.dir, "telemetry.go"), []byte(tt.telemetry), 0o644); err != nil {
				t.Fatal(err)
			}
			h.run(t, "get", library+"@"+h.version)
			h.run(t, "mod", "tidy")
			h.run(t, "build", "-o", os.DevNull, ".")
			h.run(t, "vet", ".")

			after := h.selected(t)
			if after[library] != h.version {
				t.Fatalf("got version %q of the library, want %q", after[library], h.version)
			}
			for path, version := range before {
				if semver.Compare(after[path], version) > 0 {
					t.Errorf("%s rises from %s to %s", path, version, after[path])
				}
			}
			modules, added := map[string]bool{}, 0
			for line := range h.sum(t) {
				if path, _, _ := strings.Cut(line, " "); !sumBefore[line] {
					modules[path] = true
					added++
				}
			}
			t.Logf("go.sum gains %d lines: %s", added, slices.Sorted(maps.Keys(modules)))
			if added > maxSumLines || len(modules) > maxSumModules {
				t.Errorf("go.sum gains %d lines of %d modules, want at most %d of %d", added, len(modules), maxSumLines, maxSumModules)
			}
		})
	}
}

// selected returns the selected version of each module in the build list.
func (h host) selected(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for line := range strings.Lines(h.run(t, "list", "-m", "all")) {
		if path, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			versions[path] = version
		}
	}
	return versions
}

// sum returns the lines of go.sum.
func (h host) sum(t *testing.T) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(h.dir, "go.sum"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		lines[strings.TrimSpace(line)] = true
	}
	return lines
}

// TestInstall installs the program as someone does who has no checkout.
func TestInstall(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	h := newHost(t, nil)
	h.run(t, "install", program+"/rollcall@"+h.version)
	if _, err := os.Stat(filepath.Join(h.dir, "bin", "rollcall")); err != nil {
		t.Error(err)
	}
}
