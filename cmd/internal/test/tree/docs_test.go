package tree

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// TestDependenciesPage holds docs/dependencies.md to the modules that the
// go.mod files require directly, and to the tools.
func TestDependenciesPage(t *testing.T) {
	page := readTree(t, "docs/dependencies.md")
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(page, -1) {
		explained[m[1]] = true
	}
	required := map[string]bool{}
	for _, name := range []string{"go.mod", "cmd/go.mod"} {
		for _, r := range modFile(t, name).Require {
			required[r.Mod.Path] = required[r.Mod.Path] || !r.Indirect && r.Mod.Path != library
		}
	}
	for _, name := range []string{"tools/go.mod", "tools/release/go.mod"} {
		tools := modFile(t, name)
		for _, r := range tools.Require {
			isTool := slices.ContainsFunc(tools.Tool, func(tool *modfile.Tool) bool { return under(tool.Path, r.Mod.Path) })
			if isTool || !r.Indirect {
				required[r.Mod.Path] = true
			}
		}
	}
	for module, direct := range required {
		if direct && !explained[module] {
			t.Errorf("docs/dependencies.md does not explain %s, which is required", module)
		}
	}
	for module := range explained {
		if !required[module] {
			t.Errorf("docs/dependencies.md explains %s, which no go.mod requires directly", module)
		}
	}
}

// TestFailuresPage holds docs/failures.md to the tests: every line about what
// is survived names tests that exist.
func TestFailuresPage(t *testing.T) {
	exists := tests(t)
	for _, problem := range failuresProblems(readTree(t, "docs/failures.md"), exists) {
		t.Error(problem)
	}
	// The check must be able to fail.
	page := failureLine("D1", "`TestThere`") + failureLine("D2", "`TestGone`") + failureLine("D3", "later")
	got := failuresProblems(page, map[string]bool{"TestThere": true})
	for _, want := range []string{"D2: no test is called TestGone", "D3: no test is named", "C10: no such line"} {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("of a page with faults: got %q, want %q among them", got, want)
		}
	}
	if strings.Contains(strings.Join(got, "\n"), "D1:") {
		t.Errorf("of a page with faults: got %q, want nothing about D1", got)
	}
}

// TestSecurityPage holds docs/security.md to the tests and to the chapters of the
// standard: every promise names tests that exist.
func TestSecurityPage(t *testing.T) {
	exists := tests(t)
	for _, problem := range securityProblems(readTree(t, "docs/security.md"), exists) {
		t.Error(problem)
	}
	page := "## V1 A\n| a promise | stranger | `TestThere` |\n## V2 B\n| two | | `TestGone` |\n| three | | none |\n## V4 D\n"
	got := strings.Join(securityProblems(page, map[string]bool{"TestThere": true}), "\n")
	for _, want := range []string{"no test is called TestGone", "three: no test is named", "chapter V3 is missing"} {
		if !strings.Contains(got, want) {
			t.Errorf("of a page with faults: got %q, want %q among them", got, want)
		}
	}
}

// securityProblems returns what is wrong with a security page.
func securityProblems(page string, exists map[string]bool) []string {
	var problems []string
	chapter := 0
	for line := range strings.Lines(page) {
		if m := regexp.MustCompile(`^## V([0-9]+) `).FindStringSubmatch(line); m != nil {
			if chapter++; m[1] != strconv.Itoa(chapter) {
				problems = append(problems, fmt.Sprintf("chapter V%d is missing", chapter))
			}
		}
		cells := strings.Split(line, " |")
		if !strings.HasPrefix(line, "| ") || len(cells) < 3 || strings.HasPrefix(line, "| promise") {
			continue
		}
		named := testNames.FindAllStringSubmatch(line, -1)
		if len(named) == 0 {
			problems = append(problems, strings.TrimPrefix(cells[0], "| ")+": no test is named")
		}
		for _, m := range named {
			if !exists[m[1]] {
				problems = append(problems, "no test is called "+m[1])
			}
		}
	}
	return problems
}

// testNames matches the names of tests in documents.
var testNames = regexp.MustCompile("`(([a-z0-9]+\\.)?(Test|Fuzz)[A-Za-z0-9_]*|[a-z0-9_]+\\.txtar)`")

func failureLine(number, tests string) string {
	return fmt.Sprintf("| %s | a condition | what then | %s |\n", number, tests)
}

// failuresProblems returns what is wrong with a failures page.
func failuresProblems(page string, exists map[string]bool) []string {
	var problems []string
	lines := map[string]string{}
	for line := range strings.Lines(page) {
		if m := regexp.MustCompile(`^\| ([DCNS][0-9]+) \|`).FindStringSubmatch(line); m != nil {
			lines[m[1]] = line
		}
	}
	var wanted []string
	for _, part := range []struct {
		letter string
		lines  int
	}{{"D", 20}, {"C", 10}, {"N", 12}, {"S", 9}} {
		for i := range part.lines {
			wanted = append(wanted, part.letter+strconv.Itoa(i+1))
		}
	}
	for _, number := range wanted {
		line, ok := lines[number]
		if !ok {
			problems = append(problems, number+": no such line")
			continue
		}
		named := testNames.FindAllStringSubmatch(line, -1)
		if len(named) == 0 {
			problems = append(problems, number+": no test is named")
		}
		for _, m := range named {
			if !exists[m[1]] {
				problems = append(problems, number+": no test is called "+m[1])
			}
		}
	}
	return problems
}

// tests returns the names of all tests, fuzzers and test scripts. A test
// outside the root package is prefixed with the name of its directory.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, f := range tree(t) {
		if !f.isTest() {
			continue
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f.name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		prefix := ""
		if f.dir() != "." {
			prefix = path.Base(f.dir()) + "."
		}
		for _, decl := range syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				found[prefix+fn.Name.Name] = true
			}
		}
		scripts, _ := filepath.Glob(filepath.Join(root, f.dir(), "testdata", "script", "*.txtar"))
		for _, script := range scripts {
			found[filepath.Base(script)] = true
		}
	}
	return found
}

// TestConfigurationPage holds docs/configuration.md to the fields of
// rollcall.Config and the settings of the program.
func TestConfigurationPage(t *testing.T) {
	page := readTree(t, "docs/configuration.md")
	wanted := exportedFields(t, "config.go", "Config")
	if len(wanted) < 25 {
		t.Fatalf("got fields %v of rollcall.Config, want more", wanted)
	}
	for fn, prefix := range map[string]string{"addFlag": "ROLLCALL_", "addCollectorFlag": "ROLLCALL_COLLECTOR_"} {
		flags := flagsOf(t, "cmd/rollcall", fn)
		if len(flags) < 10 {
			t.Fatalf("got flags %v by %s, want more", flags, fn)
		}
		for _, flag := range flags {
			wanted = append(wanted, "--"+flag, prefix+strings.ToUpper(strings.ReplaceAll(flag, "-", "_")))
		}
	}
	for _, name := range wanted {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/configuration.md does not explain %s", name)
		}
	}
}

// exportedFields returns the paths of a struct's exported fields. A field whose
// type is another struct of the same file stands for that struct's fields, as
// in "Limits.Attempts".
func exportedFields(t *testing.T, name, structName string) []string {
	t.Helper()
	structs := map[string]*ast.StructType{}
	ast.Inspect(parse(t, name), func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if fields, ok := spec.Type.(*ast.StructType); ok {
				structs[spec.Name.Name] = fields
			}
		}
		return true
	})
	var names []string
	var add func(prefix string, fields *ast.StructType)
	add = func(prefix string, fields *ast.StructType) {
		for _, field := range fields.Fields.List {
			for _, ident := range field.Names {
				if !ident.IsExported() {
					continue
				}
				typeName, _ := field.Type.(*ast.Ident)
				if typeName != nil && structs[typeName.Name] != nil {
					add(prefix+ident.Name+".", structs[typeName.Name])
				} else {
					names = append(names, prefix+ident.Name)
				}
			}
		}
	}
	add("", structs[structName])
	return names
}

// flagsOf returns the names of the flags that calls of a function in a package
// define, where the calls have them as literals.
func flagsOf(t *testing.T, dir, function string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		ast.Inspect(parse(t, filepath.Join(dir, filepath.Base(file))), func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 {
				return true
			}
			fn, isName := call.Fun.(*ast.Ident)
			name, isLiteral := call.Args[2].(*ast.BasicLit)
			if isName && isLiteral && fn.Name == function {
				names = append(names, strings.Trim(name.Value, `"`))
			}
			return true
		})
	}
	return names
}

// TestLogLines holds docs/operations.md to the log messages of the library.
func TestLogLines(t *testing.T) {
	page := readTree(t, "docs/operations.md")
	count := 0
	for _, f := range tree(t) {
		if !slices.Contains(layers, f.dir()) || f.isTest() {
			continue
		}
		ast.Inspect(parse(t, f.name), func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !regexp.MustCompile(`^msg[A-Z]`).MatchString(spec.Names[0].Name) {
				return true
			}
			message, ok := spec.Values[0].(*ast.BasicLit)
			if !ok || spec.Names[0].Name == "msgUnexpectedEnd" { // part of an error
				return true
			}
			count++
			if text, err := strconv.Unquote(message.Value); err != nil || !strings.Contains(page, "`"+text+"`") {
				t.Errorf("docs/operations.md does not explain the log line %s", message.Value)
			}
			return true
		})
	}
	if count < 7 {
		t.Errorf("got %d log messages in the library, want 7 at least", count)
	}
}

// TestLinks follows the links between the documents.
func TestLinks(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return syntax
}

// TestDecisions holds the index of decisions to the records: it lists each once,
// with its title, and no two have the same number.
func TestDecisions(t *testing.T) {
	index := readTree(t, "docs/decisions/README.md")
	records, err := filepath.Glob(filepath.Join(root, "docs", "decisions", "[0-9]*.md"))
	if err != nil || len(records) == 0 {
		t.Fatalf("got records %v and error %v", records, err)
	}
	numbers := make(map[string]bool)
	for _, name := range records {
		record := filepath.Base(name)
		heading, _, _ := strings.Cut(readTree(t, "docs/decisions/"+record), "\n")
		number, _, _ := strings.Cut(record, "-")
		title, ok := strings.CutPrefix(heading, "# "+number+": ")
		if !ok || len(number) != 4 || numbers[number] {
			t.Errorf("got record %s with heading %q, want one number of four digits in both", record, heading)
			continue
		}
		numbers[number] = true
		if line := fmt.Sprintf("- [%s](%s) %s\n", number, record, title); strings.Count(index, line) != 1 {
			t.Errorf("docs/decisions/README.md has the line %q %d times", line, strings.Count(index, line))
		}
	}
}

// TestChangelog finds what merging leaves in the changelog: an entry or a heading
// that stands twice in a release.
func TestChangelog(t *testing.T) {
	for release := range strings.SplitSeq(readTree(t, "CHANGELOG.md"), "\n## ") {
		seen := make(map[string]bool)
		for line := range strings.Lines(release) {
			if !strings.HasPrefix(line, "- ") && !strings.HasPrefix(line, "### ") {
				continue
			}
			if seen[line] {
				t.Errorf("twice: %s", line)
			}
			seen[line] = true
		}
	}
}

// TestMerged finds the marks of an unfinished merge in files that no compiler
// reads.
func TestMerged(t *testing.T) {
	extensions := []string{".md", ".yaml", ".yml", ".json", ".js", ".css", ".html", ".tmpl", ".txtar", ".service", ""}
	marks := regexp.MustCompile(`(?m)^(<{7}|>{7}) \S`)
	read := 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "dist", "node_modules"}, entry.Name()):
			return filepath.SkipDir
		case !entry.Type().IsRegular() || !slices.Contains(extensions, filepath.Ext(name)):
			return nil
		}
		data, err := os.ReadFile(name)
		if at := marks.FindIndex(data); at != nil {
			t.Errorf("%s has the mark of a merge after %d lines", name, bytes.Count(data[:at[0]], []byte("\n")))
		}
		read++
		return err
	})
	if err != nil || read < 100 {
		t.Errorf("read %d files: %v", read, err)
	}
}
