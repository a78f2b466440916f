package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// named finds commands of this program in documents and pages: in code spans, and on lines of code blocks.
var named = regexp.MustCompile("(?m)(?:`|<code>|^)(?:go run ./cmd/)?rollcall((?: [a-z-][^`<\n]*)?)")

// TestNamedCommands holds that what documents and pages tell people to run is there, with its flags.
func TestNamedCommands(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/decisions/*.md", "collector/dashboard/templates/*.html", "page/*/*.html"} {
		found, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	count := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			words := strings.Fields(m[1])
			// What the shell, or a sentence, goes on with.
			end := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w[:1], "#|&>\\") || strings.Contains(w, "$(") })
			if end >= 0 {
				words = words[:end]
			}
			if len(words) == 0 || words[0] == "VERB" {
				continue
			}
			count++
			cmd, rest, err := newRoot().Find(words)
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil && cmd.HasSubCommands() && len(cmd.Flags().Args()) > 0 {
				t.Errorf("%s: rollcall %s: %s has no %s", filepath.Base(file), strings.Join(words, " "), cmd.Name(), cmd.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: rollcall %s: %v", filepath.Base(file), strings.Join(words, " "), err)
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d commands were found", count)
	}
	t.Logf("%d commands", count)
}
