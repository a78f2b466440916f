package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const noticesFile = "notices.txt"

// "rollcall licenses" prints the notices of all modules that the program
// links on any system in the Makefile. Without a network the go command
// may lack a module that only another system needs.
func TestNotices(t *testing.T) {
	linked := make(map[string]*module) // by path and version
	for _, platform := range platforms(t) {
		if err := addLinked(linked, platform); err != nil {
			if os.Getenv("ROLLCALL_REQUIRE_ALL") == "" {
				t.Skipf("SKIPPED: cannot list the modules for %s: %v", platform, err)
			}
			t.Fatal(err)
		}
	}
	want := notices(t, linked)
	if *update {
		if err := os.WriteFile(noticesFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if noticesText != want {
		t.Errorf("%s is outdated, run: go test ./cmd/rollcall -run TestNotices -update", noticesFile)
		for _, name := range missing(headings(noticesText), headings(want)) {
			t.Errorf("missing: %s", name)
		}
		for _, name := range missing(headings(want), headings(noticesText)) {
			t.Errorf("not linked: %s", name)
		}
	}
}

// missing returns the names of all that the list does not have.
func missing(list, all []string) []string {
	return slices.DeleteFunc(all, func(name string) bool { return slices.Contains(list, name) })
}

// platforms returns the systems in the Makefile.
func platforms(t *testing.T) []string {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^PLATFORMS \?= (.*)$`).FindSubmatch(makefile)
	if line == nil {
		t.Fatal("no PLATFORMS in the Makefile")
	}
	return strings.Fields(string(line[1]))
}

// A module is one that the program links.
type module struct {
	Path, Version, Dir string
	Main               bool
	files              map[string]string // licences and notices by name
}

// addLinked adds the modules that the program links on a platform.
func addLinked(linked map[string]*module, platform string) error {
	system, arch, _ := strings.Cut(platform, "/")
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,Module,Standard", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	if err != nil {
		return err
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			Dir      string
			Module   *module
			Standard bool
		}
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if pkg.Standard || pkg.Module.Main {
			continue
		}
		name := pkg.Module.Path + " " + pkg.Module.Version
		if linked[name] == nil {
			linked[name] = pkg.Module
			linked[name].files = make(map[string]string)
		}
		if err := linked[name].addFiles(pkg.Dir); err != nil {
			return err
		}
	}
}

var licenceName = regexp.MustCompile(`(?i)^(licen[sc]e|copying|copyright|notice|patents|[a-z]+-licen[sc]e)([.-].*)?$`)

// addFiles adds the licence files of a package: those in its directory
// and the ones above it.
func (m *module) addFiles(dir string) error {
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if !entry.Type().IsRegular() || !licenceName.MatchString(entry.Name()) || filepath.Ext(entry.Name()) == ".go" {
				continue
			}
			name := filepath.Join(dir, entry.Name())
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if name, err = filepath.Rel(m.Dir, name); err != nil {
				return err
			}
			m.files[filepath.ToSlash(name)] = strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))
		}
		if dir == m.Dir {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

const ruler = "--------------------------------------------------------------------------------\n"

// notices returns the text of the file. Modules with equal licences
// share one entry.
func notices(t *testing.T, linked map[string]*module) string {
	t.Helper()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	std := &module{Path: "Go standard library", Dir: strings.TrimSpace(string(goroot)), files: make(map[string]string)}
	own := &module{Path: "rollcall", Dir: filepath.Join("..", ".."), files: make(map[string]string)}
	if err := errors.Join(std.addFiles(std.Dir), own.addFiles(own.Dir)); err != nil {
		t.Fatal(err)
	}
	modules := slices.SortedFunc(maps.Values(linked), func(a, b *module) int { return cmp.Compare(a.Path, b.Path) })
	var texts []string
	sharing := make(map[string][]string) // the modules by text
	for _, m := range append([]*module{own, std}, modules...) {
		if len(m.files) == 0 {
			t.Errorf("%s has no licence", m.Path)
		}
		var text strings.Builder
		for _, name := range slices.Sorted(maps.Keys(m.files)) {
			fmt.Fprintf(&text, "\n%s:\n\n%s\n", name, m.files[name])
		}
		if sharing[text.String()] == nil {
			texts = append(texts, text.String())
		}
		sharing[text.String()] = append(sharing[text.String()], strings.TrimSpace(m.Path+" "+m.Version)+"\n")
	}
	var all strings.Builder
	all.WriteString("rollcall contains software of these projects, under their licences.\n\n")
	for _, text := range texts {
		fmt.Fprintf(&all, "%s%s%s\n", ruler, strings.Join(sharing[text], ""), text)
	}
	return all.String()
}

// headings returns the names and versions of the modules in a text.
func headings(text string) []string {
	var found []string
	for entry := range strings.SplitSeq(text, ruler) {
		names, _, _ := strings.Cut(entry, "\n\n")
		found = append(found, strings.Split(names, "\n")...)
	}
	return found[min(1, len(found)):]
}
