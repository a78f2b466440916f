package dashboard_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
)

// A page of a year stays small. With -v the test prints what each page weighs.
func TestPageWeight(t *testing.T) {
	s := newSite(t)
	s.fill(800, 400)
	token := s.token(access.Admin, "")
	size := func(path string) int {
		resp, body := s.do("GET", path, token, nil, "Accept-Encoding", "gzip")
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d", path, resp.StatusCode)
		}
		return len(body)
	}
	assets := map[string]int{}
	for _, asset := range regexp.MustCompile(`/assets/[^"]+`).FindAllString(s.get("/a/app/overview", token, http.StatusOK), -1) {
		assets[asset] = size(asset)
	}
	shared := 0
	for _, asset := range slices.Sorted(maps.Keys(assets)) {
		shared += assets[asset]
		t.Logf("%s: %.1f kB", asset, float64(assets[asset])/1000)
	}
	if limit := 12_000; shared > limit {
		t.Errorf("all pages share %d bytes, want at most %d", shared, limit)
	}
	for _, page := range append(slices.Clone(pages), "overview?show=new&compare=year", "features?compare=year", "quality?compare=year") {
		for _, days := range []int{28, 90, 400} {
			path, more, _ := strings.Cut(page, "?")
			path = fmt.Sprintf("/a/app/%s?days=%d&%s", path, days, more)
			packed, plain := size(path), len(s.get(path, token, http.StatusOK))
			t.Logf("%s, %d days: %.1f kB compressed, %.0f kB plain, %d charts", page, days, float64(packed)/1000, float64(plain)/1000,
				strings.Count(s.get(path, token, http.StatusOK), `class="chart`))
			if limit := 64_000; packed > limit {
				t.Errorf("%s: %d bytes, want at most %d", path, packed, limit)
			}
		}
	}
}
