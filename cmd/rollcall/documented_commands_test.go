package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented matches commands of this program in documents and pages, in
// code spans and at the beginning of lines.
var documented = regexp.MustCompile("(?m)(?:`|<code>|^)(?:go run ./cmd/)?rollcall((?: [a-z-][^`<\n]*)?)")

// Documents and pages name only commands and flags that exist.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md", "cmd/internal/collector/dashboard/templates/*.html", "page/*/*.html"} {
		found, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(pattern)))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		files = append(files, found...)
	}
	count := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range documented.FindAllStringSubmatch(string(text), -1) {
			words := strings.Fields(m[1])
			// The rest belongs to the shell or to the sentence.
			end := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w[:1], "#|&>\\") || strings.Contains(w, "$(") })
			if end >= 0 {
				words = words[:end]
			}
			if len(words) == 0 || words[0] == "VERB" {
				continue
			}
			count++
			root := newRoot()
			root.InitDefaultCompletionCmd()
			cmd, rest, err := root.Find(words)
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
		t.Errorf("found only %d commands", count)
	}
	t.Logf("%d commands", count)
}
