package dashboard_test

import (
	"encoding/csv"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

var hrefs = regexp.MustCompile(`href="(/a/app/[^"#]*)`)

// follow checks that every link of a page leads to a page.
func (s *site) follow(page, token string, most int) {
	s.t.Helper()
	seen := map[string]bool{}
	for _, m := range hrefs.FindAllStringSubmatch(s.get(page, token, 200), -1) {
		to := html.UnescapeString(m[1])
		if seen[to] || len(seen) >= most || strings.Contains(to, ".csv") || strings.Contains(to, ".json") {
			continue
		}
		seen[to] = true
		if resp, _ := s.do("GET", to, token, nil); resp.StatusCode != 200 {
			s.t.Errorf("%s leads to %s: %d %s", page, to, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}

// TestSegmentPages: every page shows a segment, and leads on.
func TestSegmentPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(80, 60)
	token := s.token(access.Admin, "app")
	segment := "?segment=" + url.QueryEscape("system=linux")
	for _, page := range []string{"overview", "versions", "retention", "features", "health", "quality"} {
		body := s.get("/a/app/"+page+segment, token, 200)
		if !strings.Contains(body, "Remove Operating system linux") {
			t.Errorf("%s has no segment", page)
		}
		if whole := "it shows all installations"; (page == "quality") != strings.Contains(body, whole) {
			t.Errorf("%s: does it show all installations?", page)
		}
		s.follow("/a/app/"+page+segment, token, 12)
		s.get("/a/app/"+page+"?segment="+url.QueryEscape("version=99.x"), token, 200) // nobody
	}
	if body := s.get("/a/app/versions"+segment, token, 200); strings.Count(body, "only totals are kept of this") != 3 {
		t.Error("the page of versions does not say what it cannot show")
	}
	all, err := s.c.Breakdown(t.Context(), s.app.Num, collector.DimSystem, 28, mustToday(t, s), figures.View{})
	if err != nil {
		t.Fatal(err)
	}
	resp, body := s.do("GET", "/a/app/overview/active.json"+segment, token, nil)
	if resp.StatusCode != 200 || !strings.Contains(body, "segment=system%3Dlinux") || len(all.Values) < 2 {
		t.Errorf("the download is not of the segment: %s", body)
	}
}

func mustToday(t *testing.T, s *site) collector.Day {
	t.Helper()
	today, _, err := s.c.Today(s.app.Num)
	if err != nil {
		t.Fatal(err)
	}
	return today
}

// month is the 28 days to today.
func (s *site) month() collector.Range {
	today := mustToday(s.t, s)
	return collector.Range{From: today - 27, To: today}
}

// monthsReleases returns the month's releases. There is at least one.
func (s *site) monthsReleases() []figures.Release {
	s.t.Helper()
	answer, err := s.c.Versions(s.t.Context(), s.app.Num, s.month(), figures.View{})
	if err != nil || len(answer.Releases) == 0 {
		s.t.Fatalf("got %d releases, %v", len(answer.Releases), err)
	}
	return answer.Releases
}

// monthsFaults returns the month's faults. There is at least one.
func (s *site) monthsFaults() []figures.Fault {
	s.t.Helper()
	answer, err := s.c.Faults(s.t.Context(), s.app.Num, s.month(), figures.View{})
	if err != nil || len(answer.Faults) == 0 {
		s.t.Fatalf("got %d faults, %v", len(answer.Faults), err)
	}
	return answer.Faults
}

// TestSegmentForm: the form adds to the segment, and every address becomes the
// canonical one.
func TestSegmentForm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(30, 20)
	token := s.token(access.Read, "app")
	for query, want := range map[string]string{
		"by=system&is=Windows":                      "system=windows",
		"segment=system%3Dlinux&by=system&is=macos": "system=darwin,linux",
		"by=version&is=%3C+1.3.0":                   "version<1.3.0",
		"by=version&is=1.2.x,+1.3.0":                "version=1.2.x,1.3.0",
		"by=client&is=a+b":                          `client="a b"`,
		"by=first_seen&is=2026-05":                  "first_seen=2026-05",
		"segment=version%3D1.0+system%3Dlinux":      "system=linux version=1.0",
		"segment=os%3Dlinux&days=7":                 "system=linux",
		"segment=system%3Dlinux&by=system&is=":      "system=linux",
		"segment=":                                  "",
		"days=7":                                    "!",
		"segment=system%3Dlinux":                    "!",
		"segment=system%3Dlinux+version%3D1.2.x":    "!",
		"segment=broken":                            "400",
		"by=first_seen&is=soon":                     "400",
		"segment=fact.nofact%3D1":                   "400",
		"segment=a%3D" + strings.Repeat("x", 1001):  "400",
		"by=system&is=" + strings.Repeat("x", 1001): "400",
	} {
		resp, _ := s.do("GET", "/a/app/overview?"+query, token, nil)
		switch {
		case want == "400":
			if resp.StatusCode != 400 {
				t.Errorf("%.60s: got %d, want 400", query, resp.StatusCode)
			}
		case want == "!" || query == "segment=":
			if resp.StatusCode != 200 {
				t.Errorf("%s: got %d, want 200", query, resp.StatusCode)
			}
		default:
			to, err := url.Parse(resp.Header.Get("Location"))
			if err != nil || resp.StatusCode != 303 || to.Query().Get("segment") != want || to.Query().Has("by") {
				t.Errorf("%s: got %d to %s, want the segment %s", query, resp.StatusCode, to, want)
			}
		}
	}
}

// TestSegmentsAreNotPublic: the public has neither segments nor the pages of
// versions and faults, and cannot tell which ones there would be.
func TestSegmentsAreNotPublic(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(40, 40)
	s.app.Public = true
	if err := s.c.UpdateApp(t.Context(), s.app); err != nil {
		t.Fatal(err)
	}
	var before string
	for _, query := range []string{"segment=system%3Dlinux", "segment=", "segment=broken", "segment=version%3D99", "by=system&is=linux"} {
		body := s.get("/a/app/overview?"+query, "", 404)
		if before != "" && before != body {
			t.Errorf("%s: the answer differs", query)
		}
		before = body
	}
	for _, page := range []string{"overview", "versions", "features", "health"} {
		body := s.get("/a/app/"+page, "", 200)
		for _, private := range []string{"segment", "/a/app/version?", "/a/app/fault?", "Compare with"} {
			if strings.Contains(body, private) {
				t.Errorf("the public %s has %q", page, private)
			}
		}
	}
	for _, page := range []string{"version?version=1.0.0", "fault?fault=1"} {
		if resp, _ := s.do("GET", "/a/app/"+page, "", nil); resp.StatusCode != 302 || !strings.Contains(resp.Header.Get("Location"), "/signin") {
			t.Errorf("%s: got %d", page, resp.StatusCode)
		}
	}
}

// TestDetailPages: a version and a fault have pages, which lead on, and triage has a
// history there.
func TestDetailPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(120, 70)
	token := s.token(access.Admin, "app")
	today := mustToday(t, s)
	releases := s.monthsReleases()
	faults := s.monthsFaults()
	for _, release := range releases[:2] {
		page := "/a/app/version?version=" + url.QueryEscape(release.Version)
		body := s.get(page, token, 200)
		for _, part := range []string{"<h1>" + release.Version, "Run it", "Faults beside the version before", "came from", `aria-current="page">Versions`} {
			if !strings.Contains(body, part) {
				t.Errorf("%s has no %q", page, part)
			}
		}
		s.follow(page, token, 20)
		s.get(page+"&segment=system%3Dlinux", token, 200)
		s.get(fmt.Sprintf("%s&from=%s&to=%s", page, today-90, today-80), token, 200) // before the app
	}
	id := faults[0].ID
	page := "/a/app/fault?fault=" + id
	s.follow(page, token, 20)
	form := url.Values{"fault": {id}, "status": {"fixed"}, "fixed_in": {"9.9"}, "note": {"a <b>note</b>"}}
	resp, _ := s.do("POST", "/a/app/fault", token, form)
	if to := resp.Header.Get("Location"); resp.StatusCode != 303 || to != "/a/app/fault?saved=1&fault="+id {
		t.Errorf("got %d to %s", resp.StatusCode, to)
	}
	body := s.get(page, token, 200)
	if !strings.Contains(body, "a &lt;b&gt;note") || !strings.Contains(body, "9.9") {
		t.Error("the history has no note")
	}
	if !strings.Contains(body, `aria-current="page">Health`) {
		t.Error("the navigation does not say that faults belong to Health")
	}
	s.get(page+"&segment=system%3Dlinux", token, 200)
	s.get("/a/app/fault?fault=none", token, 404)
	s.get("/a/app/version?version=none", token, 404)
	reader := s.token(access.Read, "app")
	if resp, _ := s.do("POST", "/a/app/fault", reader, form); resp.StatusCode == 303 {
		t.Error("a reader triages a fault")
	}
}

// TestCompare: charts of days draw the earlier days as further lines, with the
// same weekdays, and their tables have the earlier figures.
func TestCompare(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(60, 120)
	token := s.token(access.Read, "app")
	today := mustToday(t, s)
	releases := s.monthsReleases()
	oldest := releases[len(releases)-1].Version
	faults := s.monthsFaults()
	rows := func(page, panel, query string) [][]string {
		t.Helper()
		page, more, _ := strings.Cut(page, "?")
		rows, err := csv.NewReader(strings.NewReader(s.get("/a/app/"+page+"/"+panel+".csv?"+query+"&"+more, token, 200))).ReadAll()
		if err != nil || len(rows) < 2 {
			t.Fatalf("%s of %s: %d rows, %v", panel, page, len(rows), err)
		}
		return rows
	}
	for _, chart := range [][2]string{
		{"overview", "active"}, {"overview?show=new", "active"}, {"overview?show=active-7", "active"}, {"overview?show=stickiness", "active"},
		{"overview?show=in-memory", "active"}, {"overview", "aside"}, {"quality", "reports"}, {"health?status=all", "days"},
		{"fault?fault=" + faults[0].ID, "days"}, {"version?version=" + url.QueryEscape(oldest), "running"},
	} {
		for compare, text := range map[string]string{"previous": "period before", "year": "year before"} {
			sep := "?"
			if strings.Contains(chart[0], "?") {
				sep = "&"
			}
			body := s.get("/a/app/"+chart[0]+sep+"days=28&compare="+compare, token, 200)
			if !strings.Contains(body, "Pale lines are the "+text) || !strings.Contains(body, `class="line before`) {
				t.Errorf("%s, %s: no line", chart[0], compare)
			}
		}
		compared := rows(chart[0], chart[1], "days=14&compare=previous")
		heads, then := compared[0], slices.Index(compared[0], "compared with")
		if then < 0 {
			t.Errorf("%s: no days that it is compared with in %v", chart, heads)
			continue
		}
		earlier := make(map[string][]string)
		for _, row := range rows(chart[0], chart[1], fmt.Sprintf("from=%s&to=%s", today-28, today-14)) {
			earlier[row[0]] = row
		}
		known := 0
		for _, row := range compared[1:] {
			for i, head := range heads[then+1:] {
				column := slices.Index(heads, strings.TrimSuffix(head, " then"))
				if was := earlier[row[then]]; was != nil {
					known++
					if got := row[then+1+i]; got != was[column] {
						t.Errorf("%s: %s on %s: got %s, want %s", chart, head, row[then], got, was[column])
					}
				}
			}
		}
		if known < 14 {
			t.Errorf("%s: %d figures are compared", chart, known)
		}
	}
	if body := s.get("/a/app/features?days=28&compare=previous", token, 200); !strings.Contains(body, "where they ended in the period before") {
		t.Error("the trend of a dimension is not compared")
	}
	for _, page := range []string{"versions", "retention", "version?segment=system%3Dlinux&version=" + url.QueryEscape(oldest)} {
		if body := s.get("/a/app/"+page, token, 200); strings.Contains(body, "Compare with") {
			t.Errorf("%s offers a comparison and has nothing to compare", page)
		}
	}
	if body := s.get("/a/app/overview?days=28&compare=previous", token, 200); !strings.Contains(body, ">28</data> days earlier") {
		t.Error("the days before are not 28 days earlier")
	}
	if body := s.get("/a/app/overview?days=10&compare=previous", token, 200); !strings.Contains(body, ">14</data> days earlier") {
		t.Error("ten days are not compared with those of the same weekdays")
	}
	if body := s.get("/a/app/overview?days=28&compare=year", token, 200); !strings.Contains(body, `/a/app/health?compare=year&amp;days=28"`) {
		t.Error("other pages are not compared")
	}
	if body := s.get("/a/app/overview", token, 200); !strings.Contains(body, "Last quarter (") || !strings.Contains(body, "Last month (") {
		t.Error("there are no presets")
	}
}

var (
	bars   = regexp.MustCompile(`(?s)<li class="row-bar[^"]*">.*?</li>`)
	bands  = regexp.MustCompile(`(?s)<a [^>]*><path [^>]*class="band|<path [^>]*class="band`)
	cells  = regexp.MustCompile(`<td class="h\d[^"]*"[^>]*>.*?</td>`)
	tiles  = regexp.MustCompile(`(?s)<li class="tile.*?</li>`)
	labels = regexp.MustCompile(`<[^>]*>`)
)

// TestEverythingLeadsOn: every bar, band, cell, and tile is a link, except those
// about reports and IDs that the collector does not keep.
func TestEverythingLeadsOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(150, 70)
	token := s.token(access.Read, "app")
	faults := s.monthsFaults()
	releases := s.monthsReleases()
	ends := []string{"Probable clones", "Probable shared IDs", "Refused IDs", "Queued writes", "Database", "Run a newer one 0 "}
	seen := make(map[string]int)
	pages := []string{"overview", "overview?show=new", "versions", "retention", "features", "health", "quality", "fault?fault=" + faults[0].ID}
	for _, release := range releases {
		pages = append(pages, "version?version="+url.QueryEscape(release.Version))
	}
	for _, page := range slices.Clone(pages) { // charts of a single day are bars
		join := "?"
		if strings.Contains(page, "?") {
			join = "&"
		}
		pages = append(pages, page+join+"days=1")
	}
	for _, page := range pages {
		body := s.get("/a/app/"+page, token, 200)
		for name, all := range map[string][]string{"bar": bars.FindAllString(body, -1), "band": bands.FindAllString(body, -1), "cell": cells.FindAllString(body, -1), "tile": tiles.FindAllString(body, -1)} {
			for _, one := range all {
				seen[name]++
				text := strings.Join(strings.Fields(labels.ReplaceAllString(one, " ")), " ")
				end := name == "cell" && text == "0" && !strings.Contains(one, "First seen") || slices.ContainsFunc(ends, func(end string) bool { return strings.HasPrefix(text, end) })
				if strings.Contains(one, "<a ") == end {
					t.Errorf("%s: does the %s %q lead on? %.300s", page, name, text, one)
				}
			}
		}
		// Links within the page have a target.
		for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(body, -1) {
			if !strings.Contains(body, `id="`+m[1]+`"`) {
				t.Errorf("%s has no #%s", page, m[1])
			}
		}
		s.follow("/a/app/"+page, token, 25)
		// The keyboard does not stop at each cell and band.
		stops := strings.Count(body, "<a ") - strings.Count(body, `tabindex="-1"`)
		if stops > 300 {
			t.Errorf("%s has %d links for the keyboard", page, stops)
		}
	}
	for _, name := range []string{"bar", "band", "cell", "tile"} {
		if seen[name] == 0 {
			t.Errorf("no page has a %s", name)
		}
	}
	if body := s.get("/a/app/overview?show=new", token, 200); !strings.Contains(body, `tabindex="-1"><rect`) || !strings.Contains(body, "segment=first_seen") {
		t.Error("the columns of new installations lead nowhere")
	}
	body := s.get("/a/app/overview?show=stickiness", token, 200)
	if !strings.Contains(body, `<details class="more-tiles" open>`) || !strings.Contains(body, "<h2 id=\"active-title\">1-day active as a share") {
		t.Error("a further figure does not choose the chart")
	}
}
