package report_test

import (
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/report"
)

func TestNormalizeVersion(t *testing.T) {
	long := strings.Repeat("1", 80)
	for text, want := range map[string]string{
		"":                 "",
		" \t\n":            "",
		"1.2.3":            "1.2.3",
		"v1.2.3":           "1.2.3",
		"V1.2.3":           "1.2.3",
		" v1.2.3\n":        "1.2.3",
		"v1.2.3-rc.1+b5":   "1.2.3-rc.1+b5",
		"1.0.0-RC1":        "1.0.0-RC1",
		"v":                "v",
		"vv1":              "vv1",
		"version 1":        "version 1",
		"v2024.01":         "2024.01",
		"(devel)":          "(devel)",
		"1.2\n3":           "1.2_3",
		"1.2\x00\x7f":      "1.2__",
		"1 \x00 ~":         "1 _ ~",
		"1.2é\U0001f426":   "1.2__",
		"\xff\xfe":         "__",
		"\u00a01.2\u2003":  "1.2", // white space is not only that of ASCII
		"<b>":              "<b>",
		long:               long[:64],
		"v" + long:         long[:64],
		long[:63] + " x":   long[:63],
		long[:60] + "éééé": long[:60] + "____",
	} {
		if got := report.NormalizeVersion(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzNormalizeVersion(f *testing.F) {
	for _, text := range []string{"v1.2.3", " vv1 ", "\xff", strings.Repeat("v1 ", 40), "(devel)", "v v1", "\u00a0v1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := report.NormalizeVersion(text)
		if again := report.NormalizeVersion(got); again != got {
			t.Errorf("%q: got %q and then %q", text, got, again)
		}
		h := testHeartbeat()
		h.Version = got
		if err := h.Validate(); err != nil {
			t.Errorf("%q: got %q, %v, want what can be sent", text, got, err)
		}
		report.IsDevelopment(text)
	})
}

func TestIsDevelopment(t *testing.T) {
	for _, text := range []string{
		"", " ", "dev", "DEV", "devel", "(devel)", "development", "dirty", "v1.2.3-dev", "1.2.3-dev.4", "1.2.3.dev4",
		"1.2.3dev4", "1.2.3-5-g0123abc-dirty", "1.2.3+dirty", "v0.0.0-20260131235959-0123456789ab+dirty", "main-dev",
		"dev_build", "2.0.0-DEV+5",
	} {
		if !report.IsDevelopment(text) {
			t.Errorf("%q: got false, want true", text)
		}
	}
	for _, text := range []string{
		"1.2.3", "v1.2.3", "1.2.3-rc.1", "1.2.3-beta", "developer-edition", "1.2.3-5-g0123abc", "nightly", "0.0.0", "7",
		"v0.0.0-20260131235959-0123456789ab", "devil", "1.2.3+deviation",
	} {
		if report.IsDevelopment(text) {
			t.Errorf("%q: got true, want false", text)
		}
	}
}
