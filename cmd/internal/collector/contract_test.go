package collector_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

func day(t *testing.T, text string) collector.Day {
	t.Helper()
	d, err := collector.ParseDay(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		moment string
		want   collector.Day
		text   string
	}{
		{"1970-01-01T00:00:00Z", 0, "1970-01-01"},
		{"1970-01-01T23:59:59Z", 0, "1970-01-01"},
		{"1970-01-02T00:00:00Z", 1, "1970-01-02"},
		{"1969-12-31T23:59:59Z", -1, "1969-12-31"},
		{"1969-12-31T00:00:00Z", -1, "1969-12-31"},
		{"2026-05-06T01:00:00+02:00", 20578, "2026-05-05"},
	} {
		moment, err := time.Parse(time.RFC3339, tt.moment)
		if err != nil {
			t.Fatal(err)
		}
		if got := collector.DayOf(moment); got != tt.want || got.String() != tt.text {
			t.Errorf("%s: got day %d, %s, want %d, %s", tt.moment, got, got, tt.want, tt.text)
		}
		if got := tt.want.Time().Format(time.DateTime); got != tt.text+" 00:00:00" {
			t.Errorf("%s begins at %s", tt.text, got)
		}
		var back collector.Day
		if text, _ := tt.want.MarshalText(); back.UnmarshalText(text) != nil || back != tt.want {
			t.Errorf("%s reads as %d, want %d", text, back, tt.want)
		}
	}
	for _, bad := range []string{"", "2026-5-6", "2026-02-30", "20260506"} {
		if d, err := collector.ParseDay(bad); err == nil {
			t.Errorf("%q reads as %s", bad, d)
		}
	}
}

func TestRange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from, to collector.Day
		ok       bool
	}{{5, 5, true}, {5, 4, false}, {1, 3660, true}, {1, 3661, false}, {-1 << 31, 1<<31 - 1, false}} {
		err := collector.Range{From: tt.from, To: tt.to}.Validate()
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, collector.ErrRange) {
			t.Errorf("%d to %d: got %v, want ok: %v", tt.from, tt.to, err, tt.ok)
		}
	}
}

func TestGrain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		grain            collector.Grain
		day, start, next string
	}{
		{"day", "2026-05-06", "2026-05-06", "2026-05-07"},
		{"week", "2026-05-04", "2026-05-04", "2026-05-11"}, // a Monday
		{"week", "2026-05-10", "2026-05-04", "2026-05-11"}, // a Sunday
		{"week", "1970-01-01", "1969-12-29", "1970-01-05"},
		{"month", "2026-02-28", "2026-02-01", "2026-03-01"},
		{"month", "2026-12-31", "2026-12-01", "2027-01-01"},
		{"month", "2026-04-01", "2026-04-01", "2026-05-01"},
	} {
		start, next := tt.grain.Start(day(t, tt.day)), tt.grain.Next(day(t, tt.start))
		if start != day(t, tt.start) || next != day(t, tt.next) {
			t.Errorf("%s of %s: got %s, then %s; want %s, then %s", tt.grain, tt.day, start, next, tt.start, tt.next)
		}
		if err := tt.grain.Validate(); err != nil {
			t.Error(err)
		}
		if n := tt.grain.Periods(start, next); n != 1 {
			t.Errorf("%s of %s: got %d periods to the next, want 1", tt.grain, tt.day, n)
		}
	}
	if n := collector.GrainMonth.Periods(day(t, "2024-11-01"), day(t, "2026-02-01")); n != 15 {
		t.Errorf("got %d months, want 15", n)
	}
	if n := collector.GrainWeek.Periods(100, 121); n != 3 {
		t.Errorf("got %d weeks, want 3", n)
	}
	if err := collector.Grain("year").Validate(); !errors.Is(err, collector.ErrGrain) {
		t.Errorf("year: got %v, want ErrGrain", err)
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	if got := collector.Windows(); got != [4]int{1, 7, 28, 30} {
		t.Errorf("got %v", got)
	}
	for i, days := range []int{1, 7, 28, 30} {
		if got, err := collector.WindowIndex(days); got != i || err != nil {
			t.Errorf("%d days: got %d, %v, want %d", days, got, err, i)
		}
	}
	if _, err := collector.WindowIndex(14); !errors.Is(err, collector.ErrWindow) {
		t.Errorf("14 days: got %v, want ErrWindow", err)
	}
}

func TestValidateApp(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		app  collector.App
		want string // part of the error, empty if valid
	}{
		"defaults":                   {collector.App{Key: "app"}, ""},
		"no key":                     {collector.App{}, "app key"},
		"capital letters":            {collector.App{Key: "App"}, "app key"},
		"80 characters":              {collector.App{Key: "app", Name: strings.Repeat("é", 80)}, ""},
		"81 characters":              {collector.App{Key: "app", Name: strings.Repeat("é", 81)}, "app name"},
		"line break":                 {collector.App{Key: "app", Name: "a\nb"}, "app name"},
		"not UTF-8":                  {collector.App{Key: "app", Name: "a\xff"}, "app name"},
		"k of 1":                     {collector.App{Key: "app", K: 1}, "k is 1"},
		"k of 2":                     {collector.App{Key: "app", K: 2}, ""},
		"k of 1000":                  {collector.App{Key: "app", K: 1000}, ""},
		"k of 1001":                  {collector.App{Key: "app", K: 1001}, "k is 1001"},
		"retention of 59":            {collector.App{Key: "app", Retention: 59}, "retention is 59"},
		"retention of 60":            {collector.App{Key: "app", Retention: 60}, ""},
		"retention of 3660":          {collector.App{Key: "app", Retention: 3660}, ""},
		"retention of 3661":          {collector.App{Key: "app", Retention: 3661}, "retention is 3661"},
		"negative new installations": {collector.App{Key: "app", MaxNewPerDay: -1}, "negative"},
		"an order of versions":       {collector.App{Key: "app", VersionOrder: "pep440"}, ""},
		"an unknown order":           {collector.App{Key: "app", VersionOrder: "semver2"}, "semver2"},
	} {
		err := tt.app.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

// The limits are part of the contract with operators, who read them in the
// help and in the documents.
func TestLimits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ got, want int }{
		"MaxApps":             {collector.MaxApps, 100},
		"DefaultK":            {collector.DefaultK, 5},
		"AnonymousK":          {collector.AnonymousK, 5},
		"MaxK":                {collector.MaxK, 1000},
		"DefaultRetention":    {collector.DefaultRetention, 400},
		"MinRetention":        {collector.MinRetention, 60},
		"MaxRetention":        {collector.MaxRetention, 3660},
		"DefaultMaxNewPerDay": {collector.DefaultMaxNewPerDay, 100_000},
		"MaxValues":           {collector.MaxValues, 250},
		"MaxFacts":            {collector.MaxFacts, 100},
		"MaxVersions":         {collector.MaxVersions, 1000},
		"MaxInMemoryPerDay":   {collector.MaxInMemoryPerDay, 100_000},
		"MaxFaults":           {collector.MaxFaults, 1000},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %d, want %d", name, tt.got, tt.want)
		}
	}
}

// Public windows end on Sundays, 28 days apart, and each day has one that ends on
// it or before.
func TestLastPublicDay(t *testing.T) {
	t.Parallel()
	for day := range collector.Day(30_000) {
		last := collector.LastPublicDay(day)
		if last > day || last <= day-collector.PublicDays {
			t.Fatalf("the window before %s ends on %s", day, last)
		}
		if (last + 1).Week() != last+1 {
			t.Fatalf("a window ends on %s, and %s is no Monday", last, last+1)
		}
		if next := collector.LastPublicDay(last + collector.PublicDays); next != last+collector.PublicDays || collector.LastPublicDay(next-1) != last {
			t.Fatalf("the window after that to %s ends on %s", last, next)
		}
	}
}
