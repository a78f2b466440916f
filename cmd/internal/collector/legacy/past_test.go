package legacy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/history"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/legacy"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

// A worker is a made one: what it has stored, and what is true of its fleet.
type worker struct {
	random *rand.Rand
	dump   strings.Builder // of both databases
	all    []*madeInstallation
	// active are the installations by day, and occurred the occurrences.
	active   map[collector.Day]map[string]bool
	occurred map[collector.Day]uint64
}

type madeInstallation struct {
	id, hash, version, country string
	created, last              collector.Day
	days                       []collector.Day
	// faults are how often faults occurred, by reason.
	faults map[string]uint64
}

const workerSchema = `PRAGMA defer_foreign_keys=TRUE;
CREATE TABLE heartbeats (installation_id TEXT PRIMARY KEY, app_version TEXT, platform_system TEXT, platform_machine TEXT,
 model_type TEXT, llm_enabled BOOLEAN, openvino_gpu_compile_ok BOOLEAN, inference_health_total_runtimes INTEGER, ip_country TEXT,
 git_hash TEXT, last_seen DATETIME DEFAULT CURRENT_TIMESTAMP, created_at DATETIME DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE "heartbeat_daily" (report_date TEXT NOT NULL, installation_id_hash TEXT NOT NULL, last_reported_at TEXT NOT NULL,
 version TEXT, model TEXT, country TEXT, feature_flags TEXT, PRIMARY KEY (report_date, installation_id_hash));
CREATE TABLE IF NOT EXISTS health_issue_reports (report_key TEXT PRIMARY KEY, installation_id_hash TEXT NOT NULL,
 issue_fingerprint TEXT NOT NULL, app_version TEXT, issue_source TEXT, issue_component TEXT, issue_reason_code TEXT, issue_stage TEXT,
 severity TEXT, first_seen_at TEXT, last_seen_at TEXT, report_count INTEGER DEFAULT 1, occurrence_count INTEGER DEFAULT 0,
 sample_context_json TEXT, created_at DATETIME, updated_at DATETIME);
CREATE TABLE health_report_batches (report_id TEXT PRIMARY KEY, installation_id_hash TEXT NOT NULL, report_date TEXT NOT NULL,
 reported_at TEXT NOT NULL, app_version TEXT, event_groups_json TEXT);
CREATE TABLE app_versions (channel TEXT PRIMARY KEY, version TEXT);
INSERT INTO app_versions VALUES('stable','2.0; ''x');
CREATE INDEX idx_last_seen ON heartbeats(last_seen);
`

func (w *worker) insert(table string, values ...any) {
	fmt.Fprintf(&w.dump, `INSERT INTO "%s" VALUES(`, table)
	for i, value := range values {
		if i > 0 {
			w.dump.WriteByte(',')
		}
		switch v := value.(type) {
		case nil:
			w.dump.WriteString("NULL")
		case string:
			w.dump.WriteString("'" + strings.ReplaceAll(v, "'", "''") + "'")
		default:
			fmt.Fprint(&w.dump, v)
		}
	}
	w.dump.WriteString(");\n")
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%x", sum)
}

// newWorker makes a fleet that reported to the worker until today. It has written
// days since half of the time, and events since the last third.
func newWorker(installations, days int, today collector.Day) *worker {
	w := &worker{
		random: rand.New(rand.NewPCG(1, 2)), active: make(map[collector.Day]map[string]bool), occurred: make(map[collector.Day]uint64),
	}
	w.dump.WriteString(workerSchema)
	from := today - collector.Day(days) + 1
	dailies, events := from+collector.Day(days/2), from+collector.Day(days*2/3)
	for i := range installations {
		w.install(i, from, today, dailies, events)
	}
	return w
}

func (w *worker) install(i int, from, today, dailies, events collector.Day) {
	m := &madeInstallation{id: fmt.Sprintf("%08x-1111-4111-8111-111111111111", i), country: "GB", faults: make(map[string]uint64)}
	if i%5 == 0 {
		m.id = fmt.Sprintf("not a UUID; 'x' %d", i)
	}
	m.hash = hashOf(m.id)
	w.all = append(w.all, m)
	m.created = from + collector.Day(w.random.IntN(int(today-from)+1))
	end := m.created + collector.Day(w.random.IntN(int(today-m.created)+1))
	known := map[collector.Day]bool{m.created: true}
	model := ""
	for day := m.created; day <= end; day++ {
		if day != m.created && w.random.IntN(4) == 0 {
			continue
		}
		m.last, m.version, model = day, fmt.Sprintf("2.%d.0", int(day-from)/30), []string{"convnext_large", "mobilenet_v2"}[w.random.IntN(2)]
		if day >= dailies {
			known[day] = true
			w.insert("heartbeat_daily", day.String(), m.hash, day.String()+" 10:00:00", m.version, model, m.country, `{"llm":true,"ebird":false}`)
		}
	}
	known[m.last] = true
	w.insert("heartbeats", m.id, m.version, "Linux", "x86_64", model, i%2, nil, 3, m.country, "0123abc", m.last.String()+" 10:00:00", m.created.String()+" 09:00:00")
	occur := func(day collector.Day, reason string, n int) {
		known[day] = true
		m.faults[reason] += uint64(n)
		w.occurred[day] += uint64(n)
	}
	if i%3 == 0 { // an old issue: only its number is known
		n := 1 + w.random.IntN(50)
		w.insert("health_issue_reports", hashOf(m.hash+"old"), m.hash, "old", m.version, "backend", "camera", "no_frame", nil, "warning",
			m.created.String()+"T01:02:03+00:00", m.last.String()+"T01:02:03+00:00", 3, n, `{"secret":"it''s; x"}`, m.created.String()+" 09:00:00", m.last.String()+" 09:00:00")
		if n > 1 {
			occur(m.created, "no_frame", n-1)
		}
		occur(m.last, "no_frame", 1)
	}
	if i%2 == 0 && m.last >= events { // events, some of which are reported again
		first, total := max(m.created, events), 0
		for day := first; day <= m.last; day += 3 {
			var ids []string
			for n := max(0, total-2); n < total+3; n++ {
				ids = append(ids, hashOf(fmt.Sprint(m.id, n)))
			}
			groups, _ := json.Marshal([]map[string]any{{"fingerprint": "new", "severity": "error", "event_ids": ids}, {"fingerprint": "deleted", "event_ids": ids}})
			w.insert("health_report_batches", hashOf(fmt.Sprint(m.id, day)), m.hash, day.String(), day.String()+" 11:00:00", m.version, string(groups))
			total += 3
			occur(day, "gpu_lost", 3)
		}
		w.insert("health_issue_reports", hashOf(m.hash+"new"), m.hash, "new", m.version, "backend", "inference", "gpu_lost", "classify", "error",
			nil, nil, 3, total, nil, first.String()+" 09:00:00", m.last.String()+" 09:00:00")
	}
	m.days = slices.Sorted(maps.Keys(known))
	for _, day := range m.days {
		if w.active[day] == nil {
			w.active[day] = make(map[string]bool)
		}
		w.active[day][m.id] = true
	}
}

// within counts the installations that were active in the days up to one.
func (w *worker) within(to collector.Day, days int) uint64 {
	all := make(map[string]bool)
	for day := to - collector.Day(days) + 1; day <= to; day++ {
		maps.Copy(all, w.active[day])
	}
	return uint64(len(all))
}

// importInto imports files as the verb does.
func importInto(t *testing.T, e *engine.Engine, app collector.App, files ...string) (history.Loaded, legacy.Summary) {
	t.Helper()
	a, err := legacy.OpenArchive(t.Context(), files...)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var lines bytes.Buffer
	summary, err := a.WriteHistory(t.Context(), app.Key, &lines)
	if err != nil {
		t.Fatal(err)
	}
	found, err := history.Check(bytes.NewReader(lines.Bytes()), app, collector.DayOf(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	done, err := history.Load(t.Context(), e, app, found.SHA256, &lines)
	if err != nil {
		t.Fatal(err)
	}
	return done, summary
}

// check compares all figures with brute force.
func (w *worker) check(t *testing.T, e *engine.Engine, app collector.App, r collector.Range) {
	t.Helper()
	series, err := e.Series(t.Context(), app.Num, r, figures.View{})
	if err != nil {
		t.Fatal(err)
	}
	created := make(map[collector.Day]uint64)
	for _, m := range w.all {
		created[m.created]++
	}
	for _, p := range series.Points {
		got := []uint64{*p.New, *p.Active.Day, *p.Active.Week, *p.Active.Days28, *p.Active.Days30}
		want := []uint64{created[p.Day], w.within(p.Day, 1), w.within(p.Day, 7), w.within(p.Day, 28), w.within(p.Day, 30)}
		if p.Gap || !slices.Equal(got, want) {
			t.Errorf("%s: got %v new and active, want %v; gap %t", p.Day, got, want, p.Gap)
		}
	}
	versions := make(map[string]uint64)
	for _, m := range w.all {
		if m.days[len(m.days)-1] > r.To-30 {
			versions[m.version]++
		}
		w.checkInstallation(t, e, m)
	}
	split, err := e.Breakdown(t.Context(), app.Num, collector.DimVersion, 30, r.To, figures.View{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]uint64)
	for _, v := range split.Values {
		got[v.Value] = *v.Count
	}
	if !maps.Equal(got, versions) {
		t.Errorf("versions: got %v, want %v", got, versions)
	}
	for _, days := range []collector.Day{1, 30, r.To - r.From + 1} {
		faults, err := e.Faults(t.Context(), app.Num, collector.Range{From: r.To - days + 1, To: r.To}, figures.View{})
		if err != nil {
			t.Fatal(err)
		}
		sum, want := uint64(0), uint64(0)
		for _, f := range faults.Faults {
			sum += *f.Occurrences
		}
		for day := r.To - days + 1; day <= r.To; day++ {
			want += w.occurred[day]
		}
		if sum != want {
			t.Errorf("occurrences in %d days: got %d, want %d", days, sum, want)
		}
	}
}

func (w *worker) checkInstallation(t *testing.T, e *engine.Engine, m *madeInstallation) {
	t.Helper()
	held, err := e.Describe(t.Context(), legacy.InstallationID(m.id))
	if err != nil || len(held) != 1 {
		t.Errorf("%s: got %+v, %v", m.id, held, err)
		return
	}
	h, faults := held[0], make(map[string]uint64)
	for _, f := range h.Faults {
		faults[f.Reason] += f.Count
	}
	if h.FirstSeen != m.created || !slices.Equal(h.Days, m.days) || h.Values["version"] != m.version || h.Values["country"] != m.country ||
		!maps.Equal(faults, m.faults) || h.Values["fact.configuration.llm_enabled"] == "" || h.Values["fact.deployment.git_hash"] != "" {
		t.Errorf("%s:\ngot  %s %v %v %v\nwant %s %v %s %v", m.id, h.FirstSeen, h.Days, h.Values, faults, m.created, m.days, m.version, m.faults)
	}
}

// A dump and a database of the worker become what the collector would have counted.
// No installation is new when it reports again.
func TestImport(t *testing.T) {
	installations, days := 200, 100
	if os.Getenv("ROLLCALL_SOAK") != "" {
		installations, days = 2000, 400
	}
	today := collector.DayOf(time.Now())
	w := newWorker(installations, days, today)
	dump := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(dump, []byte(w.dump.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "d1?.sqlite")
	db, err := sql.Open("sqlite", "file:"+strings.ReplaceAll(file, "?", "%3f")+"?_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "BEGIN;"+w.dump.String()+"COMMIT;"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for _, from := range []string{dump, file} {
		e, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close(context.Background()) })
		app, err := e.AddApp(t.Context(), collector.App{Key: "wamf", Legacy: true})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		done, summary := importInto(t, e, app, from)
		t.Logf("%s: %+v in %s", filepath.Base(from), done, time.Since(began).Round(time.Millisecond))
		if collector.DayOf(time.Now()) != today {
			t.Skip("a day began while the test ran")
		}
		if done.Installations != installations || summary.Unknown != 0 || done.To != today {
			t.Errorf("got %+v, %+v", done, summary)
		}
		<-e.Warm()
		w.check(t, e, app, collector.Range{From: done.From, To: today})
		// The fleet goes on reporting.
		h, err := legacy.New(legacy.Options{Collector: e, Releases: release.New(e)})
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{t: t, c: e, app: app, handler: h}
		for _, m := range w.all[:20] {
			id, _ := json.Marshal(m.id)
			r.wants(m.id, "POST", "/heartbeat", fmt.Sprintf(`{"installation_id":%s,"version":"3.0"}`, id), 200, "")
		}
		series, err := e.Series(t.Context(), app.Num, collector.Range{From: today, To: today}, figures.View{})
		if err != nil {
			t.Fatal(err)
		}
		var created uint64
		for _, m := range w.all {
			if m.created == today {
				created++
			}
		}
		if got := *series.Points[0].New; got != created {
			t.Errorf("new today after reports of the imported: got %d, want %d", got, created)
		}
	}
}

// Rows that say too little are left out, and the summary counts them.
func TestImportOfOdd(t *testing.T) {
	today := collector.DayOf(time.Now())
	w := &worker{}
	w.dump.WriteString(workerSchema)
	day := today.String()
	w.insert("heartbeats", "a", nil, nil, nil, nil, 1, nil, nil, "XX", nil, "soon", nil)
	w.insert("heartbeat_daily", day, hashOf("gone"), day, "1.0", nil, nil, "not JSON")
	w.insert("heartbeat_daily", "never", hashOf("a"), day, "1.0", nil, nil, nil)
	w.insert("health_issue_reports", "k", hashOf("gone"), "f", nil, nil, nil, nil, nil, "odd", nil, nil, 1, 0, nil, nil, day)
	w.insert("health_report_batches", "b", hashOf("a"), day, day, nil, `[{"fingerprint":"deleted","event_ids":["`+hashOf("e")+`"]}]`)
	dump := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(dump, []byte(w.dump.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	done, summary := importInto(t, r.c, r.app, dump)
	if want := (legacy.Summary{Unknown: 1, Skipped: 5}); summary != want {
		t.Errorf("got %+v, want %+v", summary, want)
	}
	if want := (history.Loaded{Installations: 1, Reports: 2, From: today, To: today}); done != want {
		t.Errorf("got %+v, want %+v", done, want)
	}
	for name, text := range map[string]string{
		"empty": "", "other": "CREATE TABLE x (y);", "text": "hello", "open": "INSERT INTO heartbeats VALUES ('x", "broken": "CREATE TABLE heartbeats (;",
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := legacy.OpenArchive(t.Context(), file)
		if err == nil || name != "broken" && !errors.Is(err, legacy.ErrNotArchive) {
			t.Errorf("%s: got %v", name, err)
		}
		a.Close()
	}
}
