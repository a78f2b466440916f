package history_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/history"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

const id = "%08d-1111-4111-8111-111111111111"

func head(app string, n int) string {
	return fmt.Sprintf(`"schema":1,"app":%q,"installation_id":%q,"id_persistence":"persisted","sent_at":"2026-05-06T10:00:00Z","version":"1.0"`,
		app, fmt.Sprintf(id, n))
}

func heartbeat(day collector.Day, app string, n int) string {
	return fmt.Sprintf(`{"day":"%s","country":"GB","heartbeat":{%s}}`, day, head(app, n))
}

func health(day collector.Day, app string, n, count int, events string) string {
	return fmt.Sprintf(`{"day":"%s","health":{%s,"faults":[{"source":"log","component":"c","reason":"r","severity":"error","count":%d,`+
		`"since":"1970-01-01T00:00:00Z","first":"2026-05-06T10:00:00Z","last":"2026-05-06T10:00:00Z"}]}%s}`, day, head(app, n), count, events)
}

func open(t *testing.T) (*engine.Engine, collector.App) {
	t.Helper()
	e, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	app, err := e.AddApp(t.Context(), collector.App{Key: "app"})
	if err != nil {
		t.Fatal(err)
	}
	return e, app
}

// The figures are those of reports that came on these days.
func TestLoad(t *testing.T) {
	e, app := open(t)
	first := collector.DayOf(time.Now()) - 40
	lines := strings.Join([]string{
		heartbeat(first, "app", 1), heartbeat(first+1, "app", 2), heartbeat(first+3, "app", 1), heartbeat(first+3, "app", 1),
		health(first+3, "app", 1, 5, ""), health(first+4, "app", 1, 7, ""),
		health(first+4, "app", 3, 1, `,"events":[["a","b"]]`), health(first+5, "app", 3, 1, `,"events":[["b","c"]]`),
	}, "\n") + "\n"
	found, err := history.Check(strings.NewReader(lines), app, first+40)
	if err != nil || found.Reports != 8 {
		t.Fatal(found, err)
	}
	if _, err := history.Load(t.Context(), e, app, "another", strings.NewReader(lines)); !errors.Is(err, history.ErrInvalid) {
		t.Fatalf("a history that has changed: got %v", err)
	}
	done, err := history.Load(t.Context(), e, app, found.SHA256, strings.NewReader(lines))
	if want := (history.Loaded{Installations: 3, Reports: 8, From: first, To: first + 5}); err != nil || done != want {
		t.Fatalf("got %+v, %v; want %+v", done, err, want)
	}
	series, err := e.Series(t.Context(), app.Num, collector.Range{From: first, To: first + 6}, figures.View{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range series.Points {
		if p.Gap {
			got = append(got, "gap")
			continue
		}
		got = append(got, fmt.Sprint(*p.Active.Day, " ", *p.New))
	}
	// Nobody reported on the third day, and the collector was not there on the last.
	if want := []string{"1 1", "1 1", "0 0", "1 0", "2 1", "1 0", "gap"}; !slices.Equal(got, want) {
		t.Errorf("active and new: got %q, want %q", got, want)
	}
	for n, want := range map[int]uint64{1: 7, 3: 3} {
		held, err := e.Describe(t.Context(), fmt.Sprintf(id, n))
		if err != nil || len(held) != 1 || len(held[0].Faults) != 1 || held[0].Faults[0].Count != want {
			t.Errorf("faults of %d: got %+v, %v; want %d", n, held, err, want)
		}
	}
	quality, err := e.Quality(t.Context(), app.Num, collector.Range{From: first, To: first + 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range quality.Points {
		if p.Skewed != 0 {
			t.Errorf("%s: %d clocks were called wrong", p.Day, p.Skewed)
		}
	}
	if _, err := history.Load(t.Context(), e, app, found.SHA256, strings.NewReader(lines)); !errors.Is(err, collector.ErrImported) {
		t.Errorf("again: got %v", err)
	}
}

// What is wrong with a history is found before it changes anything.
func TestCheck(t *testing.T) {
	t.Parallel()
	app := collector.App{Key: "app", Num: 1}
	const today = collector.Day(20_000)
	good := heartbeat(today, "app", 1)
	many := `,"events":[["` + strings.Repeat(`x","`, collector.MaxEvents) + `x"]]`
	for what, tt := range map[string]struct{ lines, want string }{
		"no JSON":          {good + "\n{", "line 2: unexpected EOF"},
		"an empty line":    {good + "\n\n", "line 2: EOF"},
		"nothing":          {`{"day":"2024-10-04"}`, "line 1: it is neither a heartbeat nor a health report"},
		"an unknown field": {`{"day":"2024-10-04","hearbeat":{}}`, "unknown field"},
		"both":             {strings.TrimSuffix(good, "}") + `,"health":{}}`, "it is neither"},
		"another app":      {heartbeat(today, "other", 1), `line 1: it is of the app "other", not "app"`},
		"no ID":            {`{"day":"2024-10-04","heartbeat":{"schema":1,"app":"app"}}`, "line 1: "},
		"backwards":        {good + "\n" + heartbeat(today-1, "app", 1), "line 2: 2024-10-03 follows 2024-10-04"},
		"in the future":    {heartbeat(today+1, "app", 1), "line 1: 2024-10-05 has not begun yet"},
		"long ago":         {heartbeat(today-collector.MaxRangeDays-1, "app", 1), "line 1: 2014-09-26 is more than 3660 days ago"},
		"events of none":   {health(today, "app", 1, 1, `,"events":[["a"],["b"]]`), "line 1: it has events of more faults than it has"},
		"too many events":  {health(today, "app", 1, 1, many), "line 1: a fault has 251 events, at most 250 are allowed"},
		"a long line":      {good + "\n" + strings.Repeat("x", history.MaxLine+1), "line 2 has more than 262144 bytes"},
	} {
		_, err := history.Check(strings.NewReader(tt.lines), app, today)
		if !errors.Is(err, history.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", what, err, tt.want)
		}
	}
	for _, lines := range []string{"", good, good + "\n", heartbeat(today-collector.MaxRangeDays, "app", 1)} {
		if _, err := history.Check(strings.NewReader(lines), app, today); err != nil {
			t.Errorf("%.80q: %v", lines, err)
		}
	}
}
