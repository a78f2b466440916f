package tree

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

const library = "github.com/rollcall-dev/rollcall"

var root = filepath.Join("..", "..", "..", "..")

// layers are the library's packages. Each may import only those further down.
// The first ones are for programs that want them and not part of every host.
var layers = []string{
	"examples/first", "examples/environment", "examples/host", "metrics", "page", "rollcalltest",
	".",
	"internal/isolate", "internal/idstore", "internal/keeper", "installid",
	"internal/diagnose", "internal/consent", "internal/sender", "internal/updates",
	"internal/configfile", "internal/anchor", "internal/lasting", "internal/schedule",
	"internal/replace", "internal/jsonedit",
	"internal/test/configdisk", "internal/test/faultfs", "internal/test/pty", "internal/test/randomjson",
	"report", "internal/jsonscan", "internal/guard", "internal/loopback",
	"internal/platform", "internal/terminal", "internal/fsys", "internal/flight",
}

// foreign are the other modules that the library requires, and the packages
// that may import them: all, or only these.
var foreign = map[string][]string{
	"golang.org/x/sys":                    nil,
	"github.com/prometheus/client_golang": {"metrics"},
}

// testOnly are packages that no program may contain.
var testOnly = []string{"rollcalltest", "internal/test", "cmd/internal/test", "cmd/internal/collector/storetest"}

// shared is what the collector uses of the library: the wire contract, and
// what both sides check of a request.
var shared = []string{"report", "internal/guard", "internal/loopback"}

const collector = "cmd/internal/collector"

// A file is what matters here of a Go file.
type file struct {
	name    string // relative to the root of the tree, with slashes
	imports []string
}

func (f file) dir() string  { return path.Dir(f.name) }
func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// violation says what is wrong with an import of a file that is not a test, or
// returns "".
func violation(from, imported string) string {
	to, own := strings.CutPrefix(imported, library+"/")
	if imported == library {
		to, own = ".", true
	}
	layer, target := slices.Index(layers, from), slices.Index(layers, to)
	inLibrary := !under(from, "cmd")
	switch {
	case inLibrary && layer < 0:
		return "the layers do not name " + from
	case own && under(to, testOnly...) && !under(from, testOnly...):
		return "it is for tests only"
	case own && inLibrary && target <= layer:
		return "the arrow points up"
	case own && under(from, collector) && !under(to, collector, "cmd/internal") && !slices.Contains(shared, to):
		return "the collector and the library share only " + strings.Join(shared, ", ")
	case own && under(from, "cmd/internal/agent") && under(to, collector):
		return "the agent does without the collector"
	case own || !inLibrary || isStandard(imported):
		return ""
	}
	for module, dirs := range foreign {
		if under(imported, module) && (dirs == nil || slices.Contains(dirs, from)) {
			return ""
		}
	}
	return "hosts would link it"
}

// under reports whether dir is one of the directories or inside one.
func under(dir string, parents ...string) bool {
	return slices.ContainsFunc(parents, func(parent string) bool {
		return dir == parent || strings.HasPrefix(dir, parent+"/")
	})
}

// isStandard reports whether a package is part of the standard library, where
// the first element of an import path has no dot.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range tree(t) {
		seen[f.dir()] = true
		if f.isTest() {
			continue
		}
		for _, imported := range f.imports {
			if why := violation(f.dir(), imported); why != "" {
				t.Errorf("%s imports %s: %s", f.name, imported, why)
			}
		}
	}
	for _, dir := range append(slices.Clone(layers), "cmd/rollcall", collector) {
		if !seen[dir] {
			t.Errorf("no Go file in %s", dir)
		}
	}
}

func TestImportsCanFail(t *testing.T) {
	tests := map[string]struct {
		from, imported string
		bad            bool
	}{
		"root to installid":                  {".", library + "/installid", false},
		"installid to root":                  {"installid", library, true},
		"keeper to stores":                   {"internal/keeper", library + "/internal/idstore", true},
		"stores to config":                   {"internal/idstore", library + "/internal/configfile", false},
		"a package to itself":                {"report", library + "/report", true},
		"report to root":                     {"report", library, true},
		"root to collector":                  {".", library + "/cmd/internal/collector", true},
		"a package that no layer has":        {"internal/new", library + "/report", true},
		"root to a foreign module":           {".", "github.com/prometheus/client_golang/prometheus", true},
		"metrics to its foreign module":      {"metrics", "github.com/prometheus/client_golang/prometheus", false},
		"a module that only begins like one": {"internal/fsys", "golang.org/x/system", true},
		"files to x/sys":                     {"internal/fsys", "golang.org/x/sys/unix", false},
		"root to the standard library":       {".", "log/slog", false},
		"root to a test double":              {".", library + "/internal/test/faultfs", true},
		"program to the lab":                 {"cmd/rollcall", library + "/cmd/internal/test/lab", true},
		"lab to a test double":               {"cmd/internal/test/lab", library + "/internal/test/faultfs", false},
		"program to both":                    {"cmd/rollcall", library + "/cmd/internal/collector", false},
		"collector to the contract":          {"cmd/internal/collector/server", library + "/report", false},
		"collector to the library":           {"cmd/internal/collector/server", library, true},
		"agent to the collector":             {"cmd/internal/agent", library + "/cmd/internal/collector", true},
		"agent to the library":               {"cmd/internal/agent", library, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := violation(tt.from, tt.imported); (got != "") != tt.bad {
				t.Errorf("%s imports %s: got %q, want a violation: %t", tt.from, tt.imported, got, tt.bad)
			}
		})
	}
}

// TestRequirements holds the library's go.mod to two modules.
func TestRequirements(t *testing.T) {
	mod := modFile(t, "go.mod")
	for _, r := range mod.Require {
		if _, ok := foreign[r.Mod.Path]; !ok && !r.Indirect {
			t.Errorf("the library requires %s: hosts would have it in their go.sum", r.Mod.Path)
		}
	}
	if mod.Toolchain != nil {
		t.Error("the library's go.mod has a toolchain line, which hosts would follow")
	}
	for _, name := range []string{"go.mod", "cmd/go.mod"} {
		if mod := modFile(t, name); len(mod.Replace)+len(mod.Exclude) > 0 {
			t.Errorf("%s replaces or excludes modules, which those who require it do not", name)
		}
	}
}

func modFile(t *testing.T, name string) *modfile.File {
	t.Helper()
	mod, err := modfile.Parse(name, []byte(readTree(t, name)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return mod
}

// tree reads the imports of all Go files, whatever system they are for.
func tree(t *testing.T) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipDir(name)
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parseImports(name)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// skipDir leaves out what the go command leaves out, and the tools.
func skipDir(name string) error {
	base := filepath.Base(name)
	if name != root && (slices.Contains([]string{"testdata", "node_modules", "tools"}, base) || base[0] == '.' || base[0] == '_') {
		return filepath.SkipDir
	}
	return nil
}

func parseImports(name string) (file, error) {
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
			return file{}, fmt.Errorf("%s: %w", name, err)
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}

func readTree(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
