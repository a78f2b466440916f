package rollcalltest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

func (f *failure) Fatal(args ...any) { f.text += fmt.Sprint(args...) }

func TestCheckPrivacy(t *testing.T) {
	t.Setenv("UPDATE_PRIVACY", "")
	file := filepath.Join(t.TempDir(), "privacy.md")
	config := rollcall.Config{App: "my-app", Facts: hostFacts}
	check := func(want bool) {
		t.Helper()
		f := failure{TB: t}
		if rollcalltest.CheckPrivacy(&f, config, file); (f.text == "") != want {
			t.Errorf("got %q, want success: %v", f.text, want)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func() string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	check(false) // there is no file
	write("# My app\n")
	check(false)
	t.Setenv("UPDATE_PRIVACY", "1")
	check(true)
	t.Setenv("UPDATE_PRIVACY", "")
	check(true)
	if text := read(); !strings.HasPrefix(text, "# My app\n\n"+rollcall.PrivacyBegin) || !strings.HasSuffix(text, rollcall.PrivacyEnd) {
		t.Errorf("got %s", text)
	}
	write(strings.ReplaceAll(read()+"\n## Next\n", "\n", "\r\n"))
	check(true)

	config.Facts = append(config.Facts, rollcall.Fact{
		Declaration: report.BoolFact("tls", "Shows whether certificates are in use."),
		Value:       func(context.Context) (any, error) { return true, nil },
	})
	check(false) // a fact was added
	t.Setenv("UPDATE_PRIVACY", "1")
	check(true)
	if text := read(); strings.Count(text, rollcall.PrivacyBegin) != 1 || !strings.HasSuffix(text, rollcall.PrivacyEnd+"\n## Next\n") ||
		!strings.Contains(text, "`facts.tls`") {
		t.Errorf("got %s", text)
	}
	write("cannot be read as a file")
	file = filepath.Dir(file)
	check(false)
}
