package report_test

import (
	"slices"
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

// ascending are versions, each newer than the one before.
var ascending = []string{
	"", "(devel)", "main", "nightly", // no versions, in the order of their bytes
	"0", "0.0.1-0", "0.0.1", "0.9", "0.10", "0.10.0.1",
	"1.0.0-1", "1.0.0-9", "1.0.0-10", "1.0.0-99999999999999999999", "1.0.0-A", "1.0.0-alpha", "1.0.0-alpha.1",
	"1.0.0-alpha.1.0", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0",
	"1.0.1", "1.1.1rc1", "1.1.1rc2", "1.1.1", "1.2.0.dev4", "1.2.0~rc1", "1.2", "1.2.3-5-g0123abc", "1.2.3",
	"2.0.0", "10.0.0", "2024.01.31", "20240131", "99999999999999999998", "99999999999999999999", "100000000000000000000",
}

func TestCompareVersions(t *testing.T) {
	for i, a := range ascending {
		for j, b := range ascending {
			want := 0
			switch {
			case i < j:
				want = -1
			case i > j:
				want = 1
			}
			if got := sign(report.CompareVersions(a, b)); got != want {
				t.Errorf("%q and %q: got %d, want %d", a, b, got, want)
			}
		}
	}
	for _, equal := range [][]string{
		{"1", "1.0", "1.0.0", "v1.0.0", " V1 ", "01.00", "1+build", "1.0.0+5-dirty", "1.", "1-"},
		{"1.2.3-rc.1", "v1.2.3-rc.1", "1.2.3-rc.1+b1", "1.2.3_rc.1", "1.2.3~rc.1", "1.2.3.rc.1", "1.2.3rc.1"},
		{"1.0.0-1", "1.0.0-01"},
	} {
		for _, a := range equal {
			for _, b := range equal {
				if got := report.CompareVersions(a, b); got != 0 {
					t.Errorf("%q and %q: got %d, want 0", a, b, got)
				}
			}
		}
	}
}

// FuzzCompareVersions checks what sorting needs: the order is antisymmetric and
// transitive.
func FuzzCompareVersions(f *testing.F) {
	for i := range len(ascending) - 2 {
		f.Add(ascending[i], ascending[i+1], ascending[i+2])
	}
	f.Add("1-a..b", "1-a.0.b", "1-a.b")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		list := []string{a, b, c}
		slices.SortFunc(list, report.CompareVersions)
		for i, x := range list {
			for j, y := range list {
				got, back := sign(report.CompareVersions(x, y)), sign(report.CompareVersions(y, x))
				if got != -back || i == j && got != 0 || i < j && got > 0 {
					t.Errorf("%q: %q and %q: got %d and %d back", list, x, y, got, back)
				}
			}
		}
	})
}

func TestCompareVersionsDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { report.CompareVersions("1.0.0-alpha.1", "1.0.0-alpha.beta+5") }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

func sign(n int) int { return min(1, max(-1, n)) }
