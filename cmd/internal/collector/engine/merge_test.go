package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/report"
)

// A pastReport is a report that another system got.
type pastReport struct {
	day       collector.Day
	heartbeat *collector.Received
	health    *collector.ReceivedHealth
}

// A move is a fleet that moves from another system to a collector. The reference
// collector got all its reports, and the other one only those since the move.
type move struct {
	t         *testing.T
	random    *rand.Rand
	r, all    *rig
	past      []pastReport
	size      int
	from, to  []collector.Day // when each installation begins, and ends
	switches  []collector.Day // when it reports here for the first time
	gone      []bool          // it was deleted
	current   []collector.Received
	faults    map[string]int
	until     collector.Day
	forgotten int
}

// newMove creates a fleet that reports for days days, and to the collector from
// the middle on.
func newMove(t *testing.T, r *rig, seed uint64, size, days int) *move {
	m := &move{
		t: t, random: newRandom(seed), r: r, size: size, faults: make(map[string]int), from: make([]collector.Day, size), to: make([]collector.Day, size),
		switches: make([]collector.Day, size), gone: make([]bool, size), current: make([]collector.Received, size),
	}
	// The collector of the rig has another app, which reports all the time.
	m.all = &rig{t: t, store: storetest.NewMemory()}
	m.all.open()
	m.all.app = m.all.addApp(collector.App{Key: "moved"})
	first := today()
	m.until = first + collector.Day(days)
	begins := first + collector.Day(days/2)
	for n := range size {
		m.from[n] = first + collector.Day(m.random.IntN(days))
		m.to[n] = m.from[n] + collector.Day(m.random.IntN(days))
		m.switches[n] = begins + collector.Day(m.random.IntN(days/4))
		switch n % 5 {
		case 0: // always there, and with the same values
			m.from[n], m.to[n], m.switches[n] = first, m.until, begins
		case 1: // never moves
			m.switches[n] = m.until + 1
		case 2: // began here
			m.from[n] = max(m.from[n], begins+collector.Day(m.random.IntN(days/4)))
			m.switches[n] = m.from[n]
		}
	}
	for day := first; day < m.until; day++ {
		if day == begins {
			m.r.app = m.r.addApp(collector.App{Key: "moved"})
		}
		other := &rig{t: t, e: m.r.e}
		other.app, _ = m.r.e.App("app")
		other.sends(0, 3, "1.0")
		m.day(day, begins)
		m.r.nextDay()
	}
	m.day(m.until, begins)
	return m
}

func (m *move) day(day, begins collector.Day) {
	for n := range m.size {
		if day < m.from[n] || day > m.to[n] || m.gone[n] || n%5 > 0 && m.random.IntN(100) < 25 {
			continue
		}
		here := day >= m.switches[n]
		both := here && n%3 == 0 && day < begins+10 // it reports to both for a while
		for range 1 + m.random.IntN(2) {
			h := m.heartbeat(n)
			m.all.send(h)
			if here {
				received := h
				received.App = m.r.app.Num
				m.r.send(received)
			}
			if !here || both {
				m.past = append(m.past, pastReport{day: day, heartbeat: &h})
			}
		}
		if m.random.IntN(5) == 0 {
			m.fault(n, day, here)
		}
		if here && n%5 == 2 && n%3 > 0 && n > 10 && m.forgotten < 2 && m.random.IntN(6) == 0 {
			m.forgotten++
			m.gone[n] = true
			for _, r := range []*rig{m.r, m.all} {
				if _, err := r.e.Forget(m.t.Context(), id(n)); err != nil {
					m.t.Fatal(err)
				}
			}
		}
	}
}

func (m *move) heartbeat(n int) collector.Received {
	h := m.all.heartbeat(n, versions[m.random.IntN(len(versions))])
	if n%5 == 0 || n%5 == 2 && n > 10 {
		h.Heartbeat.Version = "1.0"
		h.Country = "GB"
	} else if old := m.current[n]; old.App != 0 && m.random.IntN(4) > 0 {
		h.Heartbeat.Version, h.Heartbeat.Facts = old.Heartbeat.Version, old.Heartbeat.Facts
	} else if m.random.IntN(2) > 0 {
		h.Heartbeat.Facts = report.Facts{{Name: "f", Value: []string{"a", "b", "c"}[m.random.IntN(3)]}}
	}
	m.current[n] = h
	return h
}

// fault reports a fault. The counts begin anew with the move.
func (m *move) fault(n int, day collector.Day, here bool) {
	reason := []string{"disk-full", "timeout"}[m.random.IntN(2)]
	key, since := fmt.Sprint(n, reason, here), m.from[n].Time()
	if here {
		since = m.switches[n].Time()
	}
	m.faults[key] += 1 + m.random.IntN(5)
	h := m.all.health(n, m.faults[key], since, reason)
	h.Report.Version = m.current[n].Heartbeat.Version
	m.all.reports(h)
	if here {
		h.App = m.r.app.Num
		m.r.reports(h)
		return
	}
	m.past = append(m.past, pastReport{day: day, health: &h})
}

// load adds the past to an app, like package history.
func (m *move) load(r *rig, name string) error {
	l, err := r.e.Import(m.t.Context(), r.app.Num, name)
	if err != nil {
		return err
	}
	day := m.past[0].day - 1
	for _, p := range m.past {
		for ; err == nil && day < p.day; day++ {
			err = l.Day(m.t.Context(), day+1)
		}
		switch {
		case err != nil:
		case p.heartbeat != nil:
			h := *p.heartbeat
			h.App, h.Heartbeat.SentAt = r.app.Num, time.Time{}
			err = l.Heartbeat(m.t.Context(), h)
		default:
			h := *p.health
			h.App, h.Report.SentAt = r.app.Num, time.Time{}
			err = l.Health(m.t.Context(), h)
		}
		if err != nil {
			l.Abort(m.t.Context())
			return err
		}
	}
	return l.Close(m.t.Context())
}

// notCompared are times, what the store is made of, and the probable clones: returns to
// values of before are not counted across the move.
var notCompared = regexp.MustCompile(`"(as_of|bytes|journal_entries|clones)":("[^"]*"|\d+)`)

// figuresOf returns every figure of an app as text.
func figuresOf(t *testing.T, r *rig, from, to collector.Day, ids int) string {
	t.Helper()
	var b strings.Builder
	ctx, app := t.Context(), r.app.Num
	span := collector.Range{From: from, To: to}
	add := func(what string, value any, err error) {
		t.Helper()
		text, jsonErr := json.Marshal(value)
		if err != nil || jsonErr != nil {
			t.Fatal(what, err, jsonErr)
		}
		fmt.Fprintf(&b, "%s: %s\n", what, notCompared.ReplaceAllString(string(text), ""))
	}
	series, err := r.e.Series(ctx, app, span, figures.View{})
	for _, p := range series.Points {
		add("series", p, err)
	}
	add("median", series.MedianAge, nil)
	quality, err := r.e.Quality(ctx, app, span)
	for _, p := range quality.Points {
		add("quality", p, err)
	}
	quality.Points, quality.TurnedAway.Since = nil, 0
	add("quality", quality, err)
	for _, grain := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
		retention, err := r.e.Retention(ctx, app, grain, span, figures.View{})
		for _, cohort := range retention.Cohorts {
			add("retention by "+string(grain), cohort, err)
		}
	}
	survival, err := r.e.Survival(ctx, app, 0, figures.View{})
	add("survival", survival, err)
	for _, days := range []collector.Day{1, 7, 30, to - from + 1} {
		part := collector.Range{From: to - days + 1, To: to}
		versions, err := r.e.Versions(ctx, app, part, figures.View{})
		add(fmt.Sprint("versions ", int(days)), versions, err)
		faults, err := r.e.Faults(ctx, app, part, figures.View{})
		add(fmt.Sprint("faults ", int(days)), faults, err)
	}
	floor, err := r.e.Floor(ctx, app, to, figures.View{})
	add("floor", floor, err)
	names, err := r.e.Dimensions(ctx, app, figures.View{})
	add("dimensions", names, err)
	for _, name := range names {
		for _, window := range []int{1, 7, 28, 30} {
			trend, err := r.e.Trend(ctx, app, name, window, span, 20, figures.View{})
			for _, p := range trend.Points {
				add(fmt.Sprint("trend of ", name, " in ", window, trend.Values), p, err)
			}
		}
	}
	pairs, err := r.e.CoOccurrence(ctx, app, collector.DimVersion, collector.DimSystem, 28, 1<<20, figures.View{})
	add("pairs", pairs, err)
	public := figures.View{Public: true, K: 2}
	series, err = r.e.Series(ctx, app, span, public)
	add("public series", series, err)
	for _, name := range names {
		split, err := r.e.Breakdown(ctx, app, name, 28, to, public)
		add("public "+name, split, err)
	}
	faults, err := r.e.Faults(ctx, app, span, public)
	add("public faults", faults, err)
	for n := range ids {
		held, err := r.e.Describe(ctx, id(n))
		for _, h := range held {
			if h.App == r.app.Key {
				add(fmt.Sprint("installation ", n), h, err)
			}
		}
	}
	return b.String()
}

// sameFigures compares texts of figuresOf.
func sameFigures(t *testing.T, what, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	wrong := 0
	for i := range max(len(g), len(w)) {
		a, b := "", ""
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			if wrong++; wrong <= 6 {
				t.Errorf("%s:\ngot  %s\nwant %s", what, a, b)
			}
		}
	}
	if wrong > 0 {
		t.Fatalf("%s: %d of %d lines differ", what, wrong, len(w))
	}
}

// A past that is added to an app with reports makes its figures those of a collector
// that got all of them.
func TestImportMerges(t *testing.T) {
	t.Parallel()
	seeds, days := 2, []int{40, 70}
	if os.Getenv("ROLLCALL_SOAK") != "" {
		seeds, days = 60, []int{40, 90, 130}
	}
	for seed := range uint64(seeds) {
		inBubble(t, func(t *testing.T, r *rig) {
			m := newMove(t, r, seed, 25, days[seed%uint64(len(days))])
			defer m.all.close()
			first := m.past[0].day
			if err := m.load(r, "past"); err != nil {
				t.Fatal(err)
			}
			want := figuresOf(t, m.all, first, m.until, m.size)
			sameFigures(t, fmt.Sprint("after the import, seed ", seed), figuresOf(t, r, first, m.until, m.size), want)
			r.crash()
			r.app, _ = r.e.App("moved")
			sameFigures(t, "after a restart", figuresOf(t, r, first, m.until, m.size), want)
			if err := r.store.Check(t.Context()); err != nil {
				t.Error(err)
			}
			if err := m.load(r, "past"); !errors.Is(err, collector.ErrImported) {
				t.Errorf("the same again: got %v", err)
			}
			// Another export of the same past adds nothing.
			if err := m.load(r, "the same under another name"); err != nil {
				t.Fatal(err)
			}
			sameFigures(t, "after importing it again", figuresOf(t, r, first, m.until, m.size), want)
			// The fleet goes on reporting.
			r.nextDay()
			for n := range m.size {
				if m.gone[n] {
					continue
				}
				h := m.heartbeat(n)
				m.all.send(h)
				h.App = r.app.Num
				r.send(h)
			}
			r.nextDay()
			sameFigures(t, "two days later", figuresOf(t, r, first, today(), m.size), figuresOf(t, m.all, first, today(), m.size))
		})
	}
}

// openClone opens a store as a new process does after the one before was killed.
func (r *rig) openClone(store *storetest.Memory) *rig {
	r.t.Helper()
	opened := &rig{t: r.t, store: store.Clone()}
	opened.open()
	opened.app, _ = opened.e.App(r.app.Key)
	return opened
}

// An import that is killed at any commit leaves the app as it was or as it is to be,
// and nothing else. It can be repeated.
func TestImportCrashes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		m := newMove(t, r, 7, 10, 16)
		defer m.all.close()
		first := m.past[0].day
		r.crash()
		shown := func(r *rig) string { return figuresOf(t, r, first, m.until, m.size) }
		was, is := shown(r), ""
		check := func(what string, store *storetest.Memory) (opened *rig, done bool) {
			t.Helper()
			opened = r.openClone(store)
			if err := opened.store.Check(t.Context()); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			now := shown(opened)
			if now != was {
				sameFigures(t, what, now, is)
			}
			return opened, now != was
		}
		done := r.openClone(r.store)
		if err := m.load(done, "past"); err != nil {
			t.Fatal(err)
		}
		is = shown(done)
		done.close()
		failure := errors.New("killed")
		switched := false
		for n := 0; ; n++ {
			what := fmt.Sprintf("killed after %d commits", n)
			killed := r.openClone(r.store)
			before := killed.store.Commits()
			killed.store.FailAfter(n, failure)
			err := m.load(killed, "past")
			enough := killed.store.Commits()-before < n
			left := killed.store.Clone()
			killed.store.Fail(nil)
			if err != nil && n%7 == 0 { // it also goes on in the same process
				sameFigures(t, what+", in the same process", shown(killed), was)
				if err := m.load(killed, "past"); err != nil {
					t.Fatal(what, err)
				}
				sameFigures(t, what+", imported again in the same process", shown(killed), is)
			}
			killed.close()
			opened, now := check(what, left)
			if now != (err == nil) {
				t.Fatalf("%s: import returned %v, and the figures are those afterwards: %t", what, err, now)
			}
			if switched && !now {
				t.Fatalf("%s: an earlier kill had switched", what)
			}
			switched = now
			if !now && n%5 == 0 {
				if err := m.load(opened, "past"); err != nil {
					t.Fatal(what, err)
				}
				sameFigures(t, what+", imported again", shown(opened), is)
			}
			opened.close()
			if enough {
				break
			}
		}
	})
}

// What is sent while an import runs waits for it, and is counted once.
func TestImportLetsReportsWait(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		first := today()
		for range 3 {
			r.sends(0, 3, "1.0")
			r.nextDay()
		}
		l, err := r.e.Import(t.Context(), r.app.Num, "x")
		if err != nil {
			t.Fatal(err)
		}
		answers := make(chan error, 1)
		go func() {
			receipt, err := r.e.Heartbeat(t.Context(), r.heartbeat(9, "2.0"))
			if err == nil && receipt.New {
				err = errors.New("it counts as new")
			}
			answers <- err
		}()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.e.Heartbeat(short, r.heartbeat(1, "2.0")); !errors.Is(err, collector.ErrBusy) {
			t.Errorf("a report that cannot wait: got %v", err)
		}
		if _, err := r.e.Forget(t.Context(), id(1)); !errors.Is(err, collector.ErrUnavailable) {
			t.Errorf("deleting meanwhile: got %v", err)
		}
		if _, err := r.e.Import(t.Context(), r.app.Num, "y"); !errors.Is(err, collector.ErrUnavailable) {
			t.Errorf("importing meanwhile: got %v", err)
		}
		other := r.addApp(collector.App{Key: "other"})
		h := r.heartbeat(1, "1.0")
		h.App = other.Num
		r.send(h)
		if got := r.point(first); *got.Active.Day != 3 {
			t.Errorf("meanwhile: got %d active", *got.Active.Day)
		}
		if err := l.Day(t.Context(), first-5); err != nil {
			t.Fatal(err)
		}
		if err := l.Heartbeat(t.Context(), r.heartbeat(9, "1.0")); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-answers; err != nil {
			t.Errorf("a report that waited: %v", err)
		}
		p := r.point(today())
		r.wants("active today", p.Active.Day, 1)
		r.wants("new today", p.New, 0)
		if held, err := r.e.Describe(t.Context(), id(9)); err != nil || held[0].FirstSeen != first-5 {
			t.Errorf("got %+v, %v", held, err)
		}
		// The numbers of apps are not used twice.
		if third := r.addApp(collector.App{Key: "third"}); third.Num != other.Num+1 {
			t.Errorf("got %d after %d", third.Num, other.Num)
		}
	})
}
