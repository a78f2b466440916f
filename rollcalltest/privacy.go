package rollcalltest

import (
	"os"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
)

// updateVariable makes [CheckPrivacy] write the section.
const updateVariable = "UPDATE_PRIVACY"

// CheckPrivacy fails the test if the host's documentation, a file in Markdown,
// does not have the section of [rollcall.Config.PrivacySection] word for word,
// because a fact was added or a reason changed since. With UPDATE_PRIVACY=1 in
// the environment it writes the section instead: in place of the old one, or at
// the end of a file that has none or does not exist.
func CheckPrivacy(t testing.TB, config rollcall.Config, file string) {
	t.Helper()
	section, err := config.PrivacySection()
	if err != nil {
		t.Fatal(err)
	}
	update := os.Getenv(updateVariable) == "1"
	data, err := os.ReadFile(file)
	if err != nil && !(update && os.IsNotExist(err)) {
		t.Fatal(err)
	}
	// A checkout on Windows may have other line ends.
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	before, rest, _ := strings.Cut(text, rollcall.PrivacyBegin)
	old, after, _ := strings.Cut(rest, rollcall.PrivacyEnd)
	switch {
	case rollcall.PrivacyBegin+old+rollcall.PrivacyEnd == section:
	case !update:
		t.Errorf("%s does not say what this program sends; run the test once with %s=1, and read the change", file, updateVariable)
	default:
		if before != "" && !strings.HasSuffix(before, "\n\n") {
			before = strings.TrimRight(before, "\n") + "\n\n"
		}
		if err := os.WriteFile(file, []byte(before+section+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
