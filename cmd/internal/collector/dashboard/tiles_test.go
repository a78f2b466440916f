package dashboard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"math"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

// A shownTile is a tile as a page shows it.
type shownTile struct{ value, change, explain string }

var (
	tilePattern = regexp.MustCompile(`(?s)<li class="tile[^"]*" title="([^"]*)"><span class="tile-name">(.*?)</span>\s*<span class="tile-value">(.*?)</span>(.*?)</li>`)
	tagPattern  = regexp.MustCompile(`<[^>]*>`)
	signPattern = regexp.MustCompile(`(?s)<span class="tile-change[^"]*">(.*?)</span>`)
	arrow       = regexp.MustCompile(`<span aria-hidden="true">(.)</span><span class="unseen">(up|down)</span>`)
)

func shownTiles(body string) map[string]shownTile {
	text := func(part string) string {
		return strings.TrimSpace(html.UnescapeString(tagPattern.ReplaceAllString(part, "")))
	}
	tiles := make(map[string]shownTile)
	for _, m := range tilePattern.FindAllStringSubmatch(body, -1) {
		one := shownTile{value: text(m[3]), explain: html.UnescapeString(m[1])}
		if change := signPattern.FindStringSubmatch(arrow.ReplaceAllString(m[4], "$1")); change != nil {
			one.change = strings.Join(strings.Fields(text(change[1])), " ")
		}
		tiles[text(m[2])] = one
	}
	return tiles
}

// changeText is how a page says that a figure changed.
func changeText(now, then uint64) string {
	share := 100 * (float64(now)/float64(then) - 1)
	switch {
	case then == 0:
		return ""
	case share >= 1000:
		return fmt.Sprintf("▲ ×%.0f", share/100+1)
	case share > 0.05:
		return fmt.Sprintf("▲ %.1f%%", share)
	case share < -0.05:
		return fmt.Sprintf("▼ %.1f%%", math.Abs(share))
	}
	return "unchanged"
}

func groupedText(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// windowOf returns the window of a page, which ends with the last day that is over,
// or the first day while it lasts, and how many days before it the window lies that
// it is compared with.
func windowOf(first, today collector.Day, length int) (from, to, shift collector.Day) {
	if to = today - 1; today == first {
		to = today
	}
	return to - collector.Day(length) + 1, to, collector.Day((length + 6) / 7 * 7)
}

// wantTiles computes the tiles by brute force, for all installations or those of
// a segment.
func wantTiles(truth *simulate.Truth, first, today collector.Day, length int, segment bool) map[string]shownTile {
	from, to, shift := windowOf(first, today, length)
	day := func(d collector.Day) simulate.Day { return truth.Series(collector.Range{From: d, To: d})[0] }
	sums := func(from, to collector.Day) (fresh, returning, lost uint64) {
		for d := from; d <= to; d++ {
			one := day(d)
			fresh, returning, lost = fresh+one.New, returning+one.Returning, lost+one.Lost
		}
		return fresh, returning, lost
	}
	now, then := day(to), day(to-shift)
	known := to-shift >= first && today != first   // a day to compare with
	whole := from-shift >= first && today != first // a window to compare with
	tiles := make(map[string]shownTile)
	for name, of := range map[string]func(simulate.Day) uint64{
		"28-day active": func(d simulate.Day) uint64 { return d.Active[2] },
		"7-day active":  func(d simulate.Day) uint64 { return d.Active[1] },
		"1-day active":  func(d simulate.Day) uint64 { return d.Active[0] },
		"Established":   func(d simulate.Day) uint64 { return d.Established[2] },
		"In-memory IDs": func(d simulate.Day) uint64 { return d.InMemory },
		"Excluded":      func(d simulate.Day) uint64 { return d.Excluded },
	} {
		one := shownTile{value: groupedText(of(now))}
		if known {
			one.change = changeText(of(now), of(then))
		}
		tiles[name] = one
	}
	if segment { // its members are installations
		tiles["In-memory IDs"], tiles["Excluded"] = shownTile{value: "–"}, shownTile{value: "–"}
	}
	fresh, returning, lost := sums(max(from, first), to)
	freshThen, returningThen, lostThen := sums(from-shift, to-shift)
	tiles["New"], tiles["Lost"] = shownTile{value: groupedText(fresh)}, shownTile{value: groupedText(lost)}
	growth := shownTile{value: signed(int64(fresh + returning - lost))}
	if whole {
		tiles["New"] = shownTile{value: groupedText(fresh), change: changeText(fresh, freshThen)}
		tiles["Lost"] = shownTile{value: groupedText(lost), change: changeText(lost, lostThen)}
		growth.change = "was " + signed(int64(freshThen+returningThen-lostThen))
	}
	tiles["Net growth"] = growth
	sticky := func(d simulate.Day) string {
		return fmt.Sprintf("%.0f%%", 100*float64(d.Active[0])/float64(d.Active[2]))
	}
	days := func(n uint64) string {
		if n == 1 {
			return "1 day"
		}
		return fmt.Sprint(n, " days")
	}
	if now.Active[2] == 0 {
		tiles["Stickiness"], tiles["Median age"] = shownTile{value: "–"}, shownTile{value: "–"}
		return tiles
	}
	tiles["Stickiness"], tiles["Median age"] = shownTile{value: sticky(now)}, shownTile{value: days(truth.MedianAge(to))}
	if known && then.Active[2] > 0 {
		tiles["Stickiness"] = shownTile{value: sticky(now), change: "was " + sticky(then)}
		tiles["Median age"] = shownTile{value: days(truth.MedianAge(to)), change: "was " + days(truth.MedianAge(to-shift))}
	}
	return tiles
}

// wantSentences computes the sentences of the overview by brute force.
func wantSentences(truth *simulate.Truth, first, today collector.Day, length int, segment bool) (all []string) {
	from, to, _ := windowOf(first, today, length)
	from = max(from, first)
	days := truth.Series(collector.Range{From: from, To: to})
	was, now := days[0].Active[2], days[len(days)-1].Active[2]
	span := from.Time().Format("2 Jan") + " – " + to.Time().Format("2 Jan")
	switch {
	case len(days) < 2:
	case was == now:
		all = append(all, fmt.Sprintf("28-day active installations stayed at %d (%s).", now, span))
	case was < now:
		all = append(all, fmt.Sprintf("28-day active installations grew from %d to %d (%s).", was, now, span))
	default:
		all = append(all, fmt.Sprintf("28-day active installations fell from %d to %d (%s).", was, now, span))
	}
	var fresh, returning, lost uint64
	for _, day := range days {
		fresh, returning, lost = fresh+day.New, returning+day.Returning, lost+day.Lost
	}
	all = append(all, fmt.Sprintf("%s: %d new, %d returning, %d lost, 0 forgotten.", signed(int64(fresh+returning)-int64(lost)), fresh, returning, lost))
	if today < first+14 && !segment {
		all = append(all, "Changes are shown from "+(first+14).Time().Format("2 January")+" on, when there are two weeks to compare")
	}
	return all
}

// checkGhost checks the earlier days in a table of the overview.
func checkGhost(t *testing.T, body string, truth *simulate.Truth, first, shift collector.Day, of func(simulate.Day) uint64) {
	t.Helper()
	var table struct {
		Columns []string
		Rows    []map[string]any
	}
	if err := json.Unmarshal([]byte(body), &table); err != nil || len(table.Rows) == 0 {
		t.Fatalf("%v: %s", err, body)
	}
	last := table.Columns[len(table.Columns)-1]
	for _, row := range table.Rows {
		day, err := collector.ParseDay(row["day"].(string))
		if err != nil {
			t.Fatal(err)
		}
		then := day - shift
		var want any
		if then >= first {
			want = float64(of(truth.Series(collector.Range{From: then, To: then})[0]))
		}
		if row["compared with"] != then.String() || row[last] != want {
			t.Errorf("%s is compared with %v of %v, want %v of %s", day, row[last], row["compared with"], want, then)
		}
	}
}

func signed(n int64) string {
	if n < 0 {
		return "−" + groupedText(uint64(-n))
	}
	return "+" + groupedText(uint64(n))
}

// A segmentAt is a segment and the condition that its members meet.
type segmentAt struct {
	text  string
	match func(value func(dimension string) string, first collector.Day) bool
}

// segmentsAt returns segments of each kind, in the form of their addresses.
func segmentsAt(first, today collector.Day) []segmentAt {
	return []segmentAt{
		{"version=1.0.0", func(value func(string) string, _ collector.Day) bool { return value("version") == "1.0.0" }},
		{"version=1.0.x", func(value func(string) string, _ collector.Day) bool {
			return strings.HasPrefix(value("version"), "1.0.")
		}},
		{"system=linux", func(value func(string) string, _ collector.Day) bool { return value("system") == "linux" }},
		{"machine=amd64 system=windows", func(value func(string) string, _ collector.Day) bool {
			return value("machine") == "amd64" && value("system") == "windows"
		}},
		{fmt.Sprintf("first_seen=%s..%s", first-1, today), func(func(string) string, collector.Day) bool { return true }},
		{"first_seen=" + first.String(), func(_ func(string) string, day collector.Day) bool { return day == first }},
		{"first_seen=" + today.String(), func(_ func(string) string, day collector.Day) bool { return day == today }},
	}
}

var weekdayPattern = regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\d+ [A-Z][a-z]{2} \d{4})`)

// Every tile and sentence of the overview, and every day that its chart is
// compared with, matches brute force, for all installations and for segments, in
// the first hour, day, and week of an app and at every weekday afterwards. A
// change compares equal weekdays, and says which days it compares.
func TestTilesTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const days = 45
		c, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		app, err := c.AddApp(t.Context(), collector.App{Key: "app"})
		if err != nil {
			t.Fatal(err)
		}
		pages, token := pagesOf(t, c)
		first := collector.DayOf(time.Now())
		fleet, err := simulate.New(simulate.Config{Seed: 5, App: "app", Installations: 90, Days: days, Last: first + days - 1})
		if err != nil {
			t.Fatal(err)
		}
		visits := make(map[collector.Day][]simulate.Sent)
		for day, visit := range fleet.Visits() {
			for _, sent := range visit {
				if sent.Heartbeat != nil {
					visits[day] = append(visits[day], simulate.Sent{Heartbeat: sent.Heartbeat})
				}
			}
		}
		truth := simulate.NewTruth(false)
		get := func(address string) string {
			r := httptest.NewRequest("GET", address, nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			pages.ServeHTTP(w, r)
			if w.Code != 200 {
				t.Fatalf("%s: %d %s", address, w.Code, w.Body)
			}
			return w.Body.String()
		}
		checkPage := func(truth *simulate.Truth, today collector.Day, length int, segment string) {
			t.Helper()
			query := fmt.Sprintf("?days=%d", length)
			if segment != "" {
				query += "&segment=" + url.QueryEscape(segment)
			}
			body := get("/a/app/overview" + query)
			got, all := shownTiles(body), wantTiles(truth, first, today, length, segment != "")
			for name, want := range all {
				one := got[name]
				if one.value != want.value || one.change != want.change {
					t.Errorf("%s of %d days on %s, %q: got %q, %q, want %q, %q", name, length, today, segment, one.value, one.change, want.value, want.change)
				}
				named := weekdayPattern.FindAllStringSubmatch(one.explain, -1)
				if half := len(named) / 2; strings.Contains(one.explain, "compared with") {
					for i := range half {
						if len(named)%2 != 0 || named[i][1] != named[half+i][1] || named[i][2] == named[half+i][2] {
							t.Errorf("%s compares other weekdays: %s", name, one.explain)
						}
					}
				} else if want.change != "" && !strings.HasPrefix(want.change, "was") {
					t.Errorf("%s does not say what it is compared with: %s", name, one.explain)
				}
			}
			if len(got) != len(all) {
				t.Errorf("got %d tiles: %v", len(got), got)
			}
			text := html.UnescapeString(tagPattern.ReplaceAllString(body, ""))
			for _, want := range wantSentences(truth, first, today, length, segment != "") {
				if !strings.Contains(text, want) {
					t.Errorf("%d days on %s, %q: no sentence %q", length, today, segment, want)
				}
			}
			if length != 10 { // segments take turns, so each has its turn
				return
			}
			_, _, shift := windowOf(first, today, length)
			checkGhost(t, get("/a/app/overview/active.json"+query+"&compare=previous"), truth, first, shift, func(d simulate.Day) uint64 { return d.Active[2] })
			checkGhost(t, get("/a/app/overview/active.json"+query+"&compare=year&show=new"), truth, first, 52*7, func(d simulate.Day) uint64 { return d.New })
		}
		turn := 0
		check := func(today collector.Day) {
			for _, length := range []int{7, 10, 28} {
				checkPage(truth, today, length, "")
				segments := segmentsAt(first, today)
				one := segments[turn%len(segments)]
				turn++
				checkPage(truth.Members(one.match), today, length, one.text)
			}
		}
		for day := first; day < first+days; day++ {
			time.Sleep(time.Hour) // the first hour of the day
			for i, sent := range visits[day] {
				h := *sent.Heartbeat
				h.SentAt = time.Now()
				if _, err := c.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: h}); err != nil {
					t.Fatal(err)
				}
				truth.Add(day, sent)
				if i == len(visits[day])/2 {
					check(day)
				}
			}
			check(day)
			time.Sleep(23 * time.Hour)
		}
	})
}
