package server_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// TestSegments: questions about a segment count its members only, in JSON and CSV.
func TestSegments(t *testing.T) {
	t.Parallel()
	r := newRig(t, noLimits)
	for n := range 5 {
		r.beat(here, n)
	}

	ask := func(path string) *recorderAlias { return r.get("/api/v1/apps/app/" + path) }
	var b figures.Breakdown
	for segment, want := range map[string]uint64{"os=linux": 5, "system=windows": 0, "version<99 arch=amd64": 5, `country=""`: 5} {
		w := ask("breakdown?segment=" + url.QueryEscape(segment))
		if err := json.Unmarshal(w.Body.Bytes(), &b); w.Code != 200 || err != nil || *b.Active != want {
			t.Errorf("%s: got %d %s", segment, w.Code, w.Body)
		}
		canonical, err := collector.ParseSegment(segment)
		if err != nil || b.Segment != canonical.String() {
			t.Errorf("%s: the answer names %q", segment, b.Segment)
		}
	}
	for _, question := range []string{
		"series", "breakdown", "trend?dimension=system", "retention", "survival", "versions", "floor", "cooccurrence", "faults", "version?version=1.2.3",
	} {
		separator := "?"
		if strings.Contains(question, "?") {
			separator = "&"
		}
		r.wants(ask(question+separator+"segment=system%3Dlinux"), 200, `"segment":"system=linux"`)
		r.wants(ask("export?of="+strings.Replace(question, "?", "&", 1)+"&segment=system%3Dlinux"), 200, "")
		r.wants(ask(question+separator+"segment=system"), 400, "segment")
		r.wants(ask(question+separator+"segment=a%3D"+strings.Repeat("x", collector.MaxSegmentLen)), 400, "1000")
	}
	r.wants(ask("breakdown?segment=nofact%3D1"), 400, "nofact")
	r.wants(ask("trend?dimension=version&segment=system%3Dlinux"), 400, "totals")
	for _, without := range []string{"quality", "dimensions"} {
		r.wants(ask(without+"?segment=system%3Dlinux"), 400, "segment")
	}
	r.wants(ask("version"), 400, "version")
	r.wants(ask("version?version=0.0.1"), 404, "unknown version")
	r.wants(ask("fault?fault=0123"), 404, "unknown fault")
}

// TestSegmentsAreNotPublic: the public learns nothing of segments, not even which
// ones are possible.
func TestSegmentsAreNotPublic(t *testing.T) {
	t.Parallel()
	r := newRig(t, noLimits)
	r.beat(here, 1)
	r.public()
	var before string
	for _, segment := range []string{"system%3Dlinux", "system%3Dplan9", "nofact%3D1", "broken", ""} {
		w := r.do("GET", "/api/v1/apps/app/series?segment="+segment, here, "")
		r.wants(w, 400, "parameter")
		if strings.Contains(w.Body.String(), "days, segment") || before != "" && w.Body.String() != before {
			t.Errorf("%s: got %s", segment, w.Body)
		}
		before = w.Body.String()
	}
	for _, private := range []string{"version?version=1.2.3", "fault?fault=1"} {
		r.wants(r.do("GET", "/api/v1/apps/app/"+private, here, ""), 401, "")
	}
}
