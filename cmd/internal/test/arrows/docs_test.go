package arrows

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestDependenciesPage holds docs/dependencies.md to the direct requirements of go.mod, and to the tools.
func TestDependenciesPage(t *testing.T) {
	page := readTree(t, "docs/dependencies.md")
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(page, -1) {
		explained[m[1]] = true
	}
	required := directRequirements(readTree(t, "go.mod"))
	for _, module := range toolModules(readTree(t, "tools/go.mod")) {
		required[module] = true
	}
	if len(required) < 5 {
		t.Fatalf("got requirements %v from go.mod, want more: is it read rightly?", required)
	}
	for module := range required {
		if !explained[module] {
			t.Errorf("go.mod requires %s, which docs/dependencies.md does not explain", module)
		}
	}
	for module := range explained {
		if !required[module] {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require directly", module)
		}
	}
}

// directRequirements gives the modules that a go.mod requires without "// indirect".
func directRequirements(mod string) map[string]bool {
	found := map[string]bool{}
	for line := range strings.Lines(mod) {
		fields := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(fields) >= 2 && strings.HasPrefix(fields[1], "v") && strings.Contains(fields[0], "/") &&
			!strings.Contains(line, "// indirect") {
			found[fields[0]] = true
		}
	}
	return found
}

// toolModules gives the required modules that have the tools of a go.mod in them.
func toolModules(mod string) []string {
	var found []string
	for line := range strings.Lines(mod) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(fields[1], "v") {
			continue
		}
		if regexp.MustCompile(`(?m)^\s*(tool )?` + regexp.QuoteMeta(fields[0]) + `/\S+$`).MatchString(mod) {
			found = append(found, fields[0])
		}
	}
	return found
}

// TestFailuresPage holds docs/failures.md to the tests: every line of the disk, the config and the collector names tests, and each of
// them is in the tree.
func TestFailuresPage(t *testing.T) {
	exists := tests(t)
	for _, problem := range failuresProblems(readTree(t, "docs/failures.md"), exists) {
		t.Error(problem)
	}
	// The check has to be able to fail.
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

func failureLine(number, tests string) string {
	return fmt.Sprintf("| %s | a condition | what then | %s |\n", number, tests)
}

// failuresProblems gives what is wrong with a failures page.
func failuresProblems(page string, exists map[string]bool) []string {
	var problems []string
	lines := map[string]string{}
	for line := range strings.Lines(page) {
		if m := regexp.MustCompile(`^\| ([DCS][0-9]+) \|`).FindStringSubmatch(line); m != nil {
			lines[m[1]] = line
		}
	}
	var wanted []string
	for i := range 20 {
		wanted = append(wanted, "D"+strconv.Itoa(i+1))
	}
	for i := range 10 {
		wanted = append(wanted, "C"+strconv.Itoa(i+1))
	}
	for i := range 9 {
		wanted = append(wanted, "S"+strconv.Itoa(i+1))
	}
	for _, number := range wanted {
		line, ok := lines[number]
		if !ok {
			problems = append(problems, number+": no such line")
			continue
		}
		named := regexp.MustCompile("`(([a-z0-9]+\\.)?(Test|Fuzz)[A-Za-z0-9_]*|[a-z0-9_]+\\.txtar)`").FindAllStringSubmatch(line, -1)
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

// tests gives the names of all tests, fuzzers and test scripts of the module. A test outside of the root package has the
// name of its folder before it.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, f := range tree(t) {
		if !f.isTest() {
			continue
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "..", "..", f.name), nil, parser.SkipObjectResolution)
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
		scripts, _ := filepath.Glob(filepath.Join("..", "..", "..", "..", f.dir(), "testdata", "script", "*.txtar"))
		for _, script := range scripts {
			found[filepath.Base(script)] = true
		}
	}
	return found
}

// TestConfigurationPage holds docs/configuration.md to the fields of rollcall.Config and the settings of the program.
func TestConfigurationPage(t *testing.T) {
	page := readTree(t, "docs/configuration.md")
	wanted := exportedFields(t, "config.go", "Config")
	if len(wanted) < 10 {
		t.Fatalf("got fields %v of rollcall.Config, want more", wanted)
	}
	flags := settings(t, "cmd/rollcall")
	if len(flags) < 10 {
		t.Fatalf("got settings %v of the program, want more", flags)
	}
	for _, flag := range flags {
		wanted = append(wanted, "--"+flag, "ROLLCALL_"+strings.ToUpper(strings.ReplaceAll(flag, "-", "_")))
	}
	for _, name := range wanted {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/configuration.md does not say what %s is", name)
		}
	}
}

// exportedFields gives the names of the exported fields of a struct in a file of the module.
func exportedFields(t *testing.T, name, structName string) []string {
	t.Helper()
	var names []string
	ast.Inspect(parse(t, name), func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != structName {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			for _, ident := range field.Names {
				if ident.IsExported() {
					names = append(names, ident.Name)
				}
			}
		}
		return false
	})
	return names
}

// settings gives the names that the command's calls of addSetting give to flags.
func settings(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "..", dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		ast.Inspect(parse(t, filepath.Join(dir, filepath.Base(file))), func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 {
				return true
			}
			fn, ok := call.Fun.(*ast.Ident)
			name, isText := call.Args[2].(*ast.BasicLit)
			if ok && isText && fn.Name == "addSetting" {
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
		if _, isLinked := linked[f.dir()]; !isLinked || f.isTest() {
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

// TestLinks follows the links between the module's own documents.
func TestLinks(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md"} {
		found, err := filepath.Glob(filepath.Join("..", "..", "..", "..", pattern))
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

func readTree(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "..", "..", name), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return syntax
}
