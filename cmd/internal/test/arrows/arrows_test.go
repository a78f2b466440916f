// Package arrows holds the module to what it says of itself: which package may import which, and what the documents
// claim. It has tests only, and parses the files itself: a test that asks the go command stays green from the cache.
package arrows

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/rollcall-dev/rollcall"

// linked are the packages that a host's program contains, and which others of this module each may import. Their
// folders are relative to the module; "." is the root package.
var linked = map[string][]string{
	".": {
		"installid", "configfile", "report",
		"internal/flight", "internal/fsys", "internal/isolate", "internal/platform", "internal/sender", "internal/terminal",
	},
	"installid":         {"configfile", "internal/flight", "internal/fsys"},
	"configfile":        {"internal/flight", "internal/fsys"},
	"report":            {},
	"internal/flight":   {},
	"internal/fsys":     {},
	"internal/isolate":  {"installid", "configfile", "internal/flight", "internal/fsys"},
	"internal/platform": {"internal/flight"},
	"internal/sender":   {"report", "internal/flight"},
	"internal/terminal": {},
}

// linkable are the modules that a host links besides this one: few, and small.
var linkable = []string{
	"golang.org/x/sys",
	"github.com/go-json-experiment/json",
	"github.com/tailscale/hujson",
}

// testOnly are packages that no program may contain. They may import one another.
var testOnly = []string{"internal/browser", "internal/faultfs", "internal/lab", "rollcalltest"}

// A file is what matters here of a Go file.
type file struct {
	name    string // relative to the module, with slashes
	imports []string
}

func (f file) dir() string  { return path.Dir(f.name) }
func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// inModule gives the folder of an import path if that is of this module.
func inModule(imported string) (dir string, ok bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// isStd tells whether an import path is of the standard library: its first element has no dot.
func isStd(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// under tells whether dir is one of the folders or inside one.
func under(dir string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return dir == folder || strings.HasPrefix(dir, folder+"/")
	})
}

// violations gives a line for each import that points the wrong way.
func violations(files []file) []string {
	var found []string
	for _, f := range files {
		for _, imported := range f.imports {
			if why := violation(f, imported); why != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", f.name, imported, why))
			}
		}
	}
	return append(found, heavyTests(files)...)
}

// violation says what is wrong with an import, or "".
func violation(f file, imported string) string {
	from := f.dir()
	to, own := inModule(imported)
	_, isLinked := linked[from]
	switch {
	case !own && !isStd(imported) && isLinked && !f.isTest() && !isLinkable(imported):
		return "hosts would link it"
	case !own:
		return ""
	case under(to, testOnly...) && !f.isTest() && !under(from, testOnly...):
		return "it is for tests only"
	case under(to, "cmd") && !under(from, "cmd"):
		return "nothing imports a command"
	case under(to, "collector") && !under(from, "collector", "cmd", "internal/browser"):
		return "the library and all else beside the commands do without the collector"
	case f.isTest():
		return "" // where a test may go is up to heavyTests
	case under(from, "collector") && !under(to, "collector", "report", "internal"):
		return "the collector shares the wire contract with the library and nothing else"
	case isLinked && !slices.Contains(linked[from], to):
		return "the arrow points the other way"
	}
	return ""
}

func isLinkable(imported string) bool { return under(imported, linkable...) }

// heavyTests gives a line for each test of a package that hosts link which leads to a module that they do not. The go
// command keeps what such tests need in the go.sum of every host.
func heavyTests(files []file) []string {
	byDir := map[string][]file{}
	for _, f := range files {
		byDir[f.dir()] = append(byDir[f.dir()], f)
	}
	var found []string
	for _, f := range files {
		if _, isLinked := linked[f.dir()]; !isLinked || !f.isTest() {
			continue
		}
		for _, chain := range foreign(byDir, f.imports, map[string]bool{}) {
			found = append(found, fmt.Sprintf("%s imports %s: hosts would have it in their go.sum", f.name, chain))
		}
	}
	return found
}

// foreign follows imports through this module to modules that hosts do not link, and gives the way to each.
func foreign(byDir map[string][]file, imports []string, seen map[string]bool) []string {
	var found []string
	for _, imported := range imports {
		dir, own := inModule(imported)
		switch {
		case seen[imported] || isStd(imported) || isLinkable(imported):
			continue
		case !own:
			found = append(found, imported)
		default:
			seen[imported] = true
			for _, f := range byDir[dir] {
				if f.isTest() {
					continue
				}
				for _, further := range foreign(byDir, f.imports, seen) {
					found = append(found, imported+", which imports "+further)
				}
			}
		}
		seen[imported] = true
	}
	return found
}

// tree reads the imports of all Go files of the module, whatever system they are for.
func tree(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..", "..", "..")
	var files []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(root, name, entry)
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parseImports(root, name)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// skip leaves out what the go command leaves out, and what is a module of its own.
func skip(root, name string, entry fs.DirEntry) error {
	if name == root {
		return nil
	}
	if base := entry.Name(); base == "testdata" || base == "vendor" || base == "node_modules" || base[0] == '.' || base[0] == '_' {
		return filepath.SkipDir
	}
	if matches, _ := filepath.Glob(filepath.Join(name, "go.mod")); matches != nil {
		return filepath.SkipDir
	}
	return nil
}

func parseImports(root, name string) (file, error) {
	syntax, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		return file{}, err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return file{}, err
	}
	f := file{name: filepath.ToSlash(rel)}
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}

func TestArrows(t *testing.T) {
	files := tree(t)
	for _, line := range violations(files) {
		t.Error(line)
	}
	// A walk that finds nothing finds nothing wrong either.
	seen := map[string]bool{}
	for _, f := range files {
		seen[f.dir()] = true
	}
	for _, dir := range []string{".", "installid", "configfile", "internal/isolate", "cmd/rollcall"} {
		if !seen[dir] {
			t.Errorf("no Go file found in %s; got %v", dir, slices.Sorted(maps.Keys(seen)))
		}
	}
}

func TestArrowsCanFail(t *testing.T) {
	lab := file{"internal/lab/fuse.go", []string{"github.com/hanwen/go-fuse/v2/fs"}}
	tests := []struct {
		name     string
		file     string
		imported string
		bad      bool
	}{
		{"library to installid", "config.go", module + "/installid", false},
		{"installid to library", "installid/keeper.go", module, true},
		{"configfile to installid", "configfile/file.go", module + "/installid", true},
		{"installid to configfile", "installid/filestore.go", module + "/configfile", false},
		{"library to report", "heartbeat.go", module + "/report", false},
		{"report to library", "report/limits.go", module, true},
		{"library to collector", "config.go", module + "/collector", true},
		{"library's test to collector", "config_test.go", module + "/collector", true},
		{"internal package to collector", "internal/agent/agent.go", module + "/collector/sqlite", true},
		{"collector to report", "collector/receive.go", module + "/report", false},
		{"collector to library", "collector/receive.go", module, true},
		{"collector to installid", "collector/sqlite/store.go", module + "/installid", true},
		{"command to both", "cmd/rollcall/up.go", module + "/collector", false},
		{"example to library", "examples/host/main.go", module, false},
		{"library to command", "config.go", module + "/cmd/rollcall", true},
		{"a folder that only begins like another", "config.go", module + "/collectorless", true},
		{"library to an internal package for the agent", "config.go", module + "/internal/agent", true},
		{"fsys to flight", "internal/fsys/os.go", module + "/internal/flight", true},
		{"library to a foreign module", "config.go", "github.com/prometheus/client_golang/prometheus", true},
		{"metrics to a foreign module", "metrics/metrics.go", "github.com/prometheus/client_golang/prometheus", false},
		{"configfile to its parser", "configfile/walk.go", "github.com/go-json-experiment/json/jsontext", false},
		{"a module that only begins like an allowed one", "configfile/walk.go", "github.com/go-json-experiment/jsonx", true},
		{"fsys to x/sys", "internal/fsys/os_unix.go", "golang.org/x/sys/unix", false},
		{"library to the standard library", "config.go", "log/slog", false},
		{"program to a test double", "internal/agent/agent.go", module + "/internal/faultfs", true},
		{"command to the lab", "cmd/rollcall/agent.go", module + "/internal/lab", true},
		{"test to a test double", "configfile/file_test.go", module + "/internal/faultfs", false},
		{"lab to a test double", "internal/lab/power.go", module + "/internal/faultfs", false},
		{"program's test to the lab", "cmd/rollcall/agent_test.go", module + "/internal/lab", false},
		{"linked package's test to a foreign module", "configfile/fuzz_test.go", "pgregory.net/rapid", true},
		{"linked package's test to one through the lab", "internal/fsys/os_test.go", module + "/internal/lab", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := violations([]file{lab, {tt.file, []string{tt.imported}}})
			if bad := len(got) > 0; bad != tt.bad {
				t.Errorf("%s imports %s: got %q, want a violation: %t", tt.file, tt.imported, got, tt.bad)
			}
		})
	}
}
