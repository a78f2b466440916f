package main

import (
	"bytes"
	"flag"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "update the files that tests compare with")

// The package comment and the help text are the same.
func TestHelpIsPackageComment(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	comment := wrap(strings.TrimSpace(strings.ReplaceAll(file.Doc.Text(), "\n\t", "\n  ")), helpWidth)
	var help bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, nil, &help, os.Stderr); code != exitOK {
		t.Fatalf("got exit code %d", code)
	}
	text, _, _ := strings.Cut(help.String(), "\nUsage:\n")
	if got := strings.TrimSpace(text); got != comment {
		t.Errorf("got help\n%s\nand package comment\n%s", got, comment)
	}
}

// Every verb has a short help, something to run, and rules for its
// arguments, and its help names the variables.
func TestVerbs(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		if cmd.Short == "" || cmd.RunE == nil || cmd.Args == nil {
			t.Errorf("%s: no short help, nothing to run, or no rules for arguments", cmd.Name())
		}
		var help bytes.Buffer
		if code := run(t.Context(), []string{cmd.Name(), "--help"}, nil, &help, os.Stderr); code != exitOK {
			t.Errorf("%s --help: got exit code %d", cmd.Name(), code)
		}
		if cmd.Flag("config") != nil && !strings.Contains(help.String(), "[ROLLCALL_CONFIG]") {
			t.Errorf("%s --help does not name ROLLCALL_CONFIG", cmd.Name())
		}
	}
}
