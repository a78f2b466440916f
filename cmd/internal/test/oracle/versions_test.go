package oracle

import (
	"os"
	"slices"
	"strings"
	"testing"

	pep440 "github.com/aquasecurity/go-pep440-version"
	debian "github.com/knqyf263/go-deb-version"
	"golang.org/x/mod/semver"

	"github.com/rollcall-dev/rollcall/report"
)

// The versions of testdata/versions are real ones, and examples of the
// specifications. Package report and a library of each scheme order them alike.
// The natural order differs where the comment of CompareVersions says so: after
// a +, and in the versions in differs.
var schemes = []struct {
	order   report.VersionOrder
	compare func(t *testing.T, a, b string) int
	differs []string
}{
	{report.SemVerOrder, compareSemVer, []string{
		"1.0.0-x-y-z.4", "1.0.0-alpha.beta", "1.70.0-nightly", "5.0.0-dev.20230131", "7.0.0-bridge.0",
	}},
	{report.PEP440Order, comparePEP440, []string{
		"1.0-1", "1.0_rev3", "1.0.r4", "1.4.0a", "1.4.0b", "1.4.0-preview5", "1.4.0pre4",
	}},
	{report.DebianOrder, compareDebian, []string{"0.0.0~git200730-1", "0.2.0~gite9f7c3d-2", "1.2.3-1.1"}},
}

func compareSemVer(t *testing.T, a, b string) int {
	for _, text := range []string{a, b} {
		if !semver.IsValid("v" + text) {
			t.Fatalf("%q is no version of SemVer", text)
		}
	}
	return semver.Compare("v"+a, "v"+b)
}

func comparePEP440(t *testing.T, a, b string) int {
	x, errX := pep440.Parse(a)
	y, errY := pep440.Parse(b)
	if errX != nil || errY != nil {
		t.Fatalf("%q, %q: %v, %v", a, b, errX, errY)
	}
	return x.Compare(y)
}

func compareDebian(t *testing.T, a, b string) int {
	x, errX := debian.NewVersion(a)
	y, errY := debian.NewVersion(b)
	if errX != nil || errY != nil {
		t.Fatalf("%q, %q: %v, %v", a, b, errX, errY)
	}
	return min(1, max(-1, x.Compare(y)))
}

func TestVersionOrders(t *testing.T) {
	total := 0
	for _, scheme := range schemes {
		t.Run(string(scheme.order), func(t *testing.T) {
			differing := make(map[string]bool)
			list := versions(t, scheme.order)
			total += len(list)
			for _, a := range list {
				for _, b := range list {
					want := scheme.compare(t, a, b)
					if got := scheme.order.Compare(a, b); got != want {
						t.Errorf("%q and %q: got %d, want %d", a, b, got, want)
					}
					natural := report.CompareVersions(a, b)
					if natural == want || strings.Contains(a+b, "+") {
						continue
					}
					known := slices.ContainsFunc(scheme.differs, func(v string) bool { return v == a || v == b })
					if !known {
						t.Errorf("%q and %q: natural order: got %d, want %d", a, b, natural, want)
					}
					differing[a], differing[b] = true, true
				}
			}
			for _, version := range scheme.differs {
				if !differing[version] {
					t.Errorf("%q: the natural order does not differ", version)
				}
			}
		})
	}
	if total < 300 {
		t.Errorf("got %d versions, want 300", total)
	}
}

func versions(t *testing.T, order report.VersionOrder) (list []string) {
	text, err := os.ReadFile("testdata/versions/" + string(order) + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		list = append(list, report.NormalizeVersion(line))
	}
	slices.Sort(list)
	return slices.Compact(list)
}
