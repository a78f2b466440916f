package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"short", "one two", "one two"},
		{"between words", "one two three four", "one two\nthree four"},
		{"paragraphs are joined", "one\ntwo\n\nthree", "one two\n\nthree"},
		{"indented lines stay", "see:\n\n  a b\n  c d\n\nend", "see:\n\n  a b\n  c d\n\nend"},
		{"indentation is repeated", "  one two three", "  one two\n  three"},
		{"columns are kept", "  a  one two three", "  a  one\n     two\n     three"},
		{"a long word", "a incomprehensible b", "a\nincomprehensible\nb"},
		{"characters, not bytes", "ééééé ééééé", "ééééé\nééééé"},
		{"empty", "", ""},
	} {
		if got := wrap(tt.text, 10); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTableWraps(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	table := &columnTable{w: &out, width: 40}
	table.Write([]byte("name\tvalue\n\x1b[31mlong name\x1b[0m\tone two three four five six seven eight\n"))
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "name       value\n\x1b[31mlong name\x1b[0m  one two three four five six\n           seven eight\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// No line of help is wider than a terminal of 80 columns, but for one
// word that has no room, and examples, which people copy.
func TestHelpFits(t *testing.T) {
	t.Parallel()
	root := newRoot()
	fitHelp(root, new(bytes.Buffer))
	if usage := root.UsageTemplate(); strings.Contains(usage, ".FlagUsages") || !strings.Contains(usage, "flagUsages .LocalFlags 80") {
		t.Errorf("the flags are not wrapped by the template\n%s", usage)
	}
	count := 0
	var check func(*cobra.Command)
	check = func(cmd *cobra.Command) {
		count++
		var help strings.Builder
		help.WriteString(cmd.Long + "\n" + flagUsages(cmd.Flags(), helpWidth))
		for _, sub := range cmd.Commands() {
			check(sub)
			help.WriteString("\n  " + sub.Name() + strings.Repeat(" ", max(0, sub.NamePadding()-len(sub.Name()))) + " " + sub.Short)
		}
		for line := range strings.Lines(help.String()) {
			line = strings.TrimRight(line, "\n")
			if n := utf8.RuneCountInString(line); n > helpWidth && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("%s: %d characters: %s", cmd.CommandPath(), n, line)
			}
		}
	}
	check(root)
	if count < 30 {
		t.Errorf("found only %d commands", count)
	}
}
