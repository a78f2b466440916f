package tree

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestWalks holds the walks of docs/architecture.md to the code: the files and
// functions that they name exist.
func TestWalks(t *testing.T) {
	page := readTree(t, "docs/architecture.md")
	steps := walkSteps(page)
	if len(steps) < 50 {
		t.Fatalf("got %d steps in the walks of docs/architecture.md, want more", len(steps))
	}
	functionsOf := func(file string) []string {
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			return nil
		}
		return functions(t, file)
	}
	for _, problem := range walkProblems(steps, functionsOf) {
		t.Error(problem)
	}
}

func TestWalksCanFail(t *testing.T) {
	page := "## Walk: a test\n\n" +
		"1. `a.go` `Good`, `T.Method`: goes on\n   in a second line.\n" +
		"2. `a.go` `Gone`: is not there.\n" +
		"3. `gone.go` `Good`: neither is this file.\n" +
		"4. `a.go` `Good`, `b.go` `Good`: is in the wrong file.\n" +
		"5. Nothing is named.\n\n" +
		"- `Option`: names no file, and need not.\n\n" +
		"## More\n\n1. `a.go` `Gone`: is not part of a walk.\n"
	inFile := map[string][]string{"a.go": {"Good", "T.Method"}, "b.go": {"Other"}}
	got := walkProblems(walkSteps(page), func(file string) []string { return inFile[file] })
	want := []string{
		"step 2: a.go has no function Gone",
		"step 3: gone.go has no function Good",
		"step 4: b.go has no function Good",
		"step 5: it names no function",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got problems %q, want %q", got, want)
	}
}

// walkSteps returns the items of the lists in all sections that are walks.
func walkSteps(page string) (steps []string) {
	item := regexp.MustCompile(`^([0-9]+\.|-) `)
	for section := range strings.SplitSeq(page, "\n## ") {
		title, text, _ := strings.Cut(strings.TrimPrefix(section, "## "), "\n")
		if !strings.HasPrefix(title, "Walk") {
			continue
		}
		for line := range strings.Lines(text) {
			switch {
			case item.MatchString(line):
				steps = append(steps, line)
			case strings.HasPrefix(line, " ") && len(steps) > 0:
				steps[len(steps)-1] += line
			}
		}
	}
	return steps
}

// walkProblems returns what is wrong with the steps. A file in a step is that
// of the functions that are named after it. A numbered step must name one.
func walkProblems(steps []string, functionsOf func(file string) []string) (problems []string) {
	span := regexp.MustCompile("`([^`]+)`")
	function := regexp.MustCompile(`^[A-Za-z]\w*(\.\w+)?$`)
	for _, step := range steps {
		number, _, _ := strings.Cut(step, " ")
		number = "step " + strings.TrimSuffix(number, ".")
		file, named := "", false
		for _, m := range span.FindAllStringSubmatch(step, -1) {
			switch name := m[1]; {
			case strings.HasSuffix(name, ".go"):
				file = name
			case file != "" && function.MatchString(name):
				named = true
				if !slices.Contains(functionsOf(file), name) {
					problems = append(problems, fmt.Sprintf("%s: %s has no function %s", number, file, name))
				}
			}
		}
		if !named && number != "step -" {
			problems = append(problems, number+": it names no function")
		}
	}
	return problems
}

// functions returns the names of a file's functions, and of its methods as in
// "Type.Method".
func functions(t *testing.T, file string) (names []string) {
	t.Helper()
	for _, decl := range parse(t, file).Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := fn.Name.Name
		if fn.Recv != nil {
			name = receiver(fn.Recv.List[0].Type) + "." + name
		}
		names = append(names, name)
	}
	return names
}

// receiver returns the name of a receiver's type, without a pointer and type
// parameters.
func receiver(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// TestPackageTable holds the tables of docs/architecture.md to the packages.
func TestPackageTable(t *testing.T) {
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(readTree(t, "docs/architecture.md"), -1) {
		if listed[m[1]] {
			t.Errorf("docs/architecture.md lists %s twice", m[1])
		}
		listed[m[1]] = true
	}
	exist := map[string]bool{}
	for _, f := range tree(t) {
		exist[f.dir()] = true
	}
	for dir := range exist {
		if !listed[dir] {
			t.Errorf("docs/architecture.md does not list the package in %s", dir)
		}
	}
	for dir := range listed {
		if !exist[dir] {
			t.Errorf("docs/architecture.md lists %s, where no package is", dir)
		}
	}
}
