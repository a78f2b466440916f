package report_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/report"
)

// ascending are versions in the natural order, each newer than the one before.
// Most are real ones, in the order in which their projects released them.
var ascending = []string{
	"(devel)", "nightly-2024-01-09", "nightly-2024-01-10", "", "build9", "build10", "go1.9", "go1.10", "main", // no versions
	"0", "0.0.1-dev", "0.0.1", "0.0.1-0", "0.6c9", "0.6c11", "0.6", "0.9", "0.10", "0.10.0.1",
	"1.0.dev456", "1.0-nightly", "1.0.0-next.1", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0-alpha.20240131",
	"1.0b1.dev456", "1.0b2", "1.0-beta.11", "1.0-M1", "1.0-M2", "1.0-pre.1", "1.0rc1.dev456", "1.0rc1", "1.0-RC2", "1.0-SNAPSHOT", "1.0",
	"1.0-1", "1.0-9", "1.0-10", "1.0-99999999999999999999", "1.0-p1", "1.0-p2", "1.0.post1", "1.0.post456.dev34", "1.0.post456",
	"1.0.1~git20240101", "1.0.1~beta2-1", "1.0.1~rc1-1", "1.0.1", "1.0.1-1~bpo12", "1.0.1-1", "1.0.1-1ubuntu1", "1.0.1-1ubuntu2", "1.0.1-2",
	"1.0.2", "1.0.2a", "1.0.2b", "1.0.2u", "1.1.0-pre9", "1.1.0-a1b2c3d",
	"1.1.1-0.20220228012449-10b1cf09e00b", "1.1.1-0.20220301000000-00b1cf09e00b", "1.1.1rc9", "1.1.1rc10", "1.1.1",
	"1.2.0-rc.1", "1.2.0-rc.1.0.20220228012449-10b1cf09e00b", "1.2", "1.2.3", "1.2.3-5-g0123abc", "1.2.3-12-g0123abc",
	"1.32.5.7349-8f4248874", "1.32.6.7371-c68c1ff60", "1.41.3", "2.0.0-ls9", "2.0.0-ls201", "2.0.1",
	"2.7-beta9", "2.7-beta14", "2.7", "3.3-rc", "3.3-rc2", "3.3", "3.3a", "10.0.0",
	"2023.12.4", "2024.1.0b0", "2024.1.0b10", "2024.1.0", "2024.01.31", "20240131",
	"99999999999999999998", "99999999999999999999", "100000000000000000000", "1:0.9", "1!1.0",
}

// equal are lists of versions of which none is newer.
var equal = [][]string{
	{"1", "1.0", "1.0.0", "v1.0.0", " V1 ", "01.00", "1+build", "1.0.0+5-dirty", "1.", "1-", "1.0.0.Final", "1.0-RELEASE", "1.0-ga", "0:1"},
	{"1.2.3-rc.1", "v1.2.3-rc.1", "1.2.3-rc.1+b1", "1.2.3_rc.1", "1.2.3~rc.1", "1.2.3.rc.1", "1.2.3rc1", "1.2.3-RC01", "1.2.3c1", "1.2.3-candidate1"},
	{"1.2.3a4", "1.2.3-alpha.4", "1.2.3.ALPHA4"},
	{"1.0.0-1", "1.0.0-01", "1.0.0.Final-1"},
}

func TestCompareVersions(t *testing.T) {
	checkOrder(t, report.CompareVersions, ascending, equal)
}

func TestVersionOrder(t *testing.T) {
	for _, test := range []struct {
		order     report.VersionOrder
		ascending []string
		equal     [][]string
	}{
		{"", ascending, equal},
		{"of the future", ascending, equal},
		{report.NaturalOrder, ascending, equal},
		{report.SemVerOrder, []string{
			"main", "01.0.0", "1.0.post1", // not of the scheme
			"1.0.0-0", "1.0.0-9", "1.0.0-10", "1.0.0-A", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
			"1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-ls5", "1.0.0-rc.1", "1.0.0", "1.2", "1.10.0", "99999999999999999999.0.0",
		}, [][]string{{"1.0.0", "v1.0.0+build", "1", "1.0"}}},
		{report.PEP440Order, []string{
			"main", "1.0-ls5", // not of the scheme
			"1.0.dev1", "1.0a1.dev2", "1.0a1", "1.0b1", "1.0rc1", "1.0rc1.post1", "1.0", "1.0+abc", "1.0+abc.1", "1.0+5", "1.0.post1", "1.1", "1!0.1",
		}, [][]string{{"1.0", "1", "v1.0.0"}, {"1.0a0", "1.0-alpha", "1.0_A"}, {"1.0rc1", "1.0-pre1", "1.0c1"}, {"1.0-2", "1.0.post2", "1.0r2", "1.0-rev-2"}}},
		{report.DebianOrder, []string{
			"1.0~~", "1.0~rc1-1", "1.0-1~bpo12+1", "1.0-1", "1.0-1+b1", "1.0-1+deb12u1", "1.0-1.1", "1.0-1.10", "1.0a-1", "1.0+dfsg-1", "2:0.1",
		}, [][]string{{"1.0", "0:1.0", "1.0-0", "1.00"}}},
	} {
		t.Run(string(test.order), func(t *testing.T) { checkOrder(t, test.order.Compare, test.ascending, test.equal) })
	}
}

func checkOrder(t *testing.T, compare func(a, b string) int, ascending []string, equal [][]string) {
	t.Helper()
	for i, a := range ascending {
		for j, b := range ascending {
			if got, want := sign(compare(a, b)), sign(i-j); got != want {
				t.Errorf("%q and %q: got %d, want %d", a, b, got, want)
			}
		}
	}
	for _, list := range equal {
		for _, a := range list {
			for _, b := range list {
				if got := compare(a, b); got != 0 {
					t.Errorf("%q and %q: got %d, want 0", a, b, got)
				}
			}
		}
	}
}

func TestIsPreRelease(t *testing.T) {
	for _, test := range []struct {
		order report.VersionOrder
		yes   []string
		no    []string
	}{
		{report.NaturalOrder, []string{"1.0-rc.1", "2.0.0rc10", "1.0~1", "1.1.1-0.20220228012449-10b1cf09e00b", "1:2.0b1"},
			[]string{"1.0", "", "main", "2.0.0-ls201", "2.0.0-1ubuntu2", "1.0.Final", "1.0+dirty", "3.3a"}},
		{report.SemVerOrder, []string{"1.0.0-ls5", "1.0.0-1"}, []string{"1.0.0", "1.0.0+rc1"}},
		{report.PEP440Order, []string{"1.0a", "1.0.dev1"}, []string{"1.0.post1", "1.0-1"}},
		{report.DebianOrder, []string{"1.0~rc1-1"}, []string{"1.0rc1-1"}},
	} {
		for _, version := range test.yes {
			if !test.order.IsPreRelease(version) {
				t.Errorf("%s: %q: got false, want true", test.order, version)
			}
		}
		for _, version := range test.no {
			if test.order.IsPreRelease(version) {
				t.Errorf("%s: %q: got true, want false", test.order, version)
			}
		}
	}
}

func TestParseVersionOrder(t *testing.T) {
	for _, order := range report.VersionOrders() {
		if got, err := report.ParseVersionOrder(string(order)); got != order || err != nil {
			t.Errorf("%q: got %q, %v", order, got, err)
		}
	}
	if got, err := report.ParseVersionOrder(""); got != report.NaturalOrder || err != nil {
		t.Errorf("empty: got %q, %v", got, err)
	}
	if _, err := report.ParseVersionOrder("SemVer2"); err == nil || !strings.Contains(err.Error(), "natural semver pep440 debian") {
		t.Errorf("unknown: got %v, want the names of the orders", err)
	}
}

// FuzzCompareVersions checks what sorting needs: the orders are antisymmetric
// and transitive.
func FuzzCompareVersions(f *testing.F) {
	for i := range len(ascending) - 2 {
		f.Add(ascending[i], ascending[i+1], ascending[i+2])
	}
	f.Add("1-a..b", "1-a.0.b", "1-a.b")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for _, order := range report.VersionOrders() {
			list := []string{a, b, c}
			slices.SortFunc(list, order.Compare)
			for i, x := range list {
				for j, y := range list {
					got, back := sign(order.Compare(x, y)), sign(order.Compare(y, x))
					if got != -back || i == j && got != 0 || i < j && got > 0 {
						t.Errorf("%s: %q: %q and %q: got %d and %d back", order, list, x, y, got, back)
					}
				}
			}
		}
	})
}

func TestCompareVersionsDoesNotAllocate(t *testing.T) {
	for _, pair := range [][2]string{{"1.0.0-alpha.1", "1.0.0-alpha.beta+5"}, {"1.0-Development.1", "1.0-DEV.2"}, {"main", "Main2"}} {
		if n := testing.AllocsPerRun(100, func() { report.CompareVersions(pair[0], pair[1]) }); n != 0 {
			t.Errorf("%q: got %v allocations, want none", pair, n)
		}
	}
}

func sign(n int) int { return min(1, max(-1, n)) }
