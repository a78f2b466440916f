package shm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/history"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/shm"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

// schema is that of SHM's database, as far as it matters.
const schema = `--
-- PostgreSQL database dump; it's made
--
\restrict aBc
SET standard_conforming_strings = on;
CREATE FUNCTION public.slugify(text) RETURNS text LANGUAGE plpgsql AS $_$
BEGIN
  INSERT INTO instances VALUES ('not data');
  RETURN trim(both '-' from $1);
END;
$_$;
CREATE TABLE public.applications (
    id uuid DEFAULT public.uuid_generate_v4() NOT NULL,
    app_slug character varying(100) NOT NULL,
    app_name character varying(100) NOT NULL,
    CONSTRAINT slug CHECK (((app_slug)::text <> ''::text))
);
CREATE TABLE public.instances (
    id uuid DEFAULT public.uuid_generate_v4() NOT NULL,
    instance_id uuid NOT NULL,
    public_key bytea NOT NULL,
    app_name character varying(100) DEFAULT 'unknown_app'::character varying,
    app_version character varying(50),
    deployment_mode character varying(20),
    environment character varying(20),
    os_arch character varying(50),
    status character varying(20) DEFAULT 'pending'::character varying,
    last_seen_at timestamp with time zone DEFAULT now(),
    created_at timestamp with time zone DEFAULT now(),
    application_id uuid
);
CREATE TABLE public.snapshots (
    id bigint NOT NULL,
    instance_id uuid NOT NULL,
    snapshot_at timestamp with time zone DEFAULT now(),
    data jsonb NOT NULL
);
`

var columns = map[string]string{
	"applications": "id, app_slug, app_name",
	"instances": "id, instance_id, public_key, app_name, app_version, deployment_mode, environment, os_arch, status, last_seen_at, created_at, " +
		"application_id",
	"snapshots": "id, instance_id, snapshot_at, data",
}

// A madeInstance is one of the application "my-app", and what is true of it.
type madeInstance struct {
	id, version, machine, users string
	days                        []collector.Day
}

// A server is a made one.
type server struct {
	rows map[string][][]any // by table; nil is null
	all  []*madeInstance
}

func (s *server) add(table string, values ...any) { s.rows[table] = append(s.rows[table], values) }

// at returns a time of a day as PostgreSQL writes it. The zone may move it to
// another date.
func at(day collector.Day, hour int) string {
	t := day.Time().Add(time.Duration(hour)*time.Hour + 1234*time.Millisecond)
	zone, layout := time.FixedZone("", -3*3600), "2006-01-02 15:04:05.999999-07"
	if hour%2 == 1 {
		zone, layout = time.FixedZone("", 5*3600+1800), "2006-01-02 15:04:05.999999-07:00"
	}
	return t.In(zone).Format(layout)
}

const (
	mine  = "aaaaaaaa-0000-4000-8000-000000000001"
	other = "aaaaaaaa-0000-4000-8000-000000000002"
)

func newServer(instances, days int, today collector.Day) *server {
	random, s := rand.New(rand.NewPCG(1, 2)), &server{rows: make(map[string][][]any)}
	s.add("applications", mine, "my-app", "My\tApp; it's \\ mine")
	s.add("applications", other, "other", "Other")
	from := today - collector.Day(days) + 1
	for i := range instances {
		m := &madeInstance{id: fmt.Sprintf("%08x-1111-4111-8111-111111111111", i), version: fmt.Sprintf("v1.%d.0", i%3), machine: []string{"amd64", "arm64"}[i%2]}
		created := from + collector.Day(random.IntN(days))
		last := created + collector.Day(random.IntN(int(today-created)+1))
		known := map[collector.Day]bool{created: true, last: true}
		for day := created; day <= last; day++ {
			if random.IntN(3) == 0 {
				continue
			}
			known[day] = true
			for hour := range 3 { // the last one counts
				users := 10 * (hour + 1) * (hour + 1)
				m.users = map[bool]string{true: "10-99", false: "100-999"}[users < 100]
				if i%2 == 1 {
					m.users, users = "<1", 0
				}
				s.add("snapshots", len(s.rows["snapshots"])+1, m.id, at(day, 3*hour),
					fmt.Sprintf(`{"users": %d, "sys_mode": "docker", "note": "a\n\\ it's; %d", "list": [1], "feature": true, "db": "Postgres"}`, users, i))
			}
		}
		s.add("instances", m.id, m.id, `\x00ff`, "My App", strings.TrimPrefix(m.version, "v"), "", "production", "linux/"+m.machine, "active",
			at(last, 23), at(created, 0), mine)
		m.version, m.days = strings.TrimPrefix(m.version, "v"), slices.Sorted(maps.Keys(known))
		s.all = append(s.all, m)
	}
	s.add("instances", other, other, `\x00`, "Other", nil, nil, nil, nil, nil, at(today, 1), at(today, 0), other)
	s.add("snapshots", 0, other, at(today, 1), `{"users": 1}`)
	return s
}

func quote(value any) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case string:
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	}
	return fmt.Sprint(value)
}

// dump writes the tables in the way of pg_dump: as "copy", "inserts",
// "column-inserts", or "rows-per-insert".
func (s *server) dump(form string) string {
	var b strings.Builder
	b.WriteString(schema)
	escape := strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`)
	for _, table := range []string{"applications", "instances", "snapshots"} {
		if form == "copy" {
			fmt.Fprintf(&b, "COPY public.%s (%s) FROM stdin;\n", table, columns[table])
		}
		for i, values := range s.rows[table] {
			cells := make([]string, len(values))
			for i, value := range values {
				switch {
				case form != "copy":
					cells[i] = quote(value)
				case value == nil:
					cells[i] = `\N`
				default:
					cells[i] = escape.Replace(fmt.Sprint(value))
				}
			}
			switch row := "(" + strings.Join(cells, ", ") + ")"; {
			case form == "copy":
				b.WriteString(strings.Join(cells, "\t") + "\n")
			case form == "inserts":
				fmt.Fprintf(&b, "INSERT INTO public.%s VALUES %s;\n", table, row)
			case form == "column-inserts":
				fmt.Fprintf(&b, "INSERT INTO public.%s (%s) VALUES %s ON CONFLICT DO NOTHING;\n", table, columns[table], row)
			case i == 0:
				fmt.Fprintf(&b, "INSERT INTO public.%s VALUES\n\t%s", table, row)
			default:
				b.WriteString(",\n\t" + row)
			}
		}
		switch form {
		case "copy":
			b.WriteString("\\.\n\n")
		case "rows-per-insert":
			b.WriteString(";\n")
		}
	}
	b.WriteString("ALTER TABLE ONLY public.instances ADD CONSTRAINT fk FOREIGN KEY (application_id) REFERENCES public.applications(id);\n\\unrestrict aBc\n")
	return b.String()
}

func write(t *testing.T, dump, application string) (string, shm.Summary) {
	t.Helper()
	d, err := shm.Read(t.Context(), strings.NewReader(dump))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	chosen, err := d.Choose(t.Context(), application)
	if err != nil {
		t.Fatal(err)
	}
	var lines, again bytes.Buffer
	summary, err := d.WriteHistory(t.Context(), chosen, "myapp", func(id string) string { return id }, &lines)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteHistory(t.Context(), chosen, "myapp", func(id string) string { return id }, &again); err != nil || again.String() != lines.String() {
		t.Errorf("the history is another when it is written again: %v", err)
	}
	return lines.String(), summary
}

// load imports lines into a new app.
func load(t *testing.T, lines string) (*engine.Engine, collector.App, history.Loaded) {
	t.Helper()
	e, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	app, err := e.AddApp(t.Context(), collector.App{Key: "myapp"})
	if err != nil {
		t.Fatal(err)
	}
	found, err := history.Check(strings.NewReader(lines), app, collector.DayOf(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	done, err := history.Load(t.Context(), e, app, found.SHA256, strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	<-e.Warm()
	return e, app, done
}

// check compares all figures with brute force.
func (s *server) check(t *testing.T, e *engine.Engine, app collector.App, r collector.Range) {
	t.Helper()
	created, active, versions := make(map[collector.Day]uint64), make(map[collector.Day]map[string]bool), make(map[string]uint64)
	for _, m := range s.all {
		created[m.days[0]]++
		if m.days[len(m.days)-1] > r.To-30 {
			versions[m.version]++
		}
		for _, day := range m.days {
			if active[day] == nil {
				active[day] = make(map[string]bool)
			}
			active[day][m.id] = true
		}
		held, err := e.Describe(t.Context(), m.id)
		if err != nil || len(held) != 1 {
			t.Fatalf("%s: got %+v, %v", m.id, held, err)
		}
		h := held[0]
		want := map[string]string{"version": m.version, "machine": m.machine, "system": "linux", "fact.environment": "production"}
		if m.users != "" {
			want["fact.users"], want["fact.feature"], want["fact.db"] = m.users, "true", "postgres"
		}
		got := maps.Clone(h.Values)
		maps.DeleteFunc(got, func(name, _ string) bool { return want[name] == "" && !strings.HasPrefix(name, "fact.") })
		if h.FirstSeen != m.days[0] || !slices.Equal(h.Days, m.days) || !maps.Equal(got, want) {
			t.Errorf("%s:\ngot  %s %v %v\nwant %v %v", m.id, h.FirstSeen, h.Days, h.Values, m.days, want)
		}
	}
	within := func(to collector.Day, days int) uint64 {
		all := make(map[string]bool)
		for day := to - collector.Day(days) + 1; day <= to; day++ {
			maps.Copy(all, active[day])
		}
		return uint64(len(all))
	}
	series, err := e.Series(t.Context(), app.Num, r, figures.View{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range series.Points {
		got := []uint64{*p.New, *p.Active.Day, *p.Active.Week, *p.Active.Days28, *p.Active.Days30}
		want := []uint64{created[p.Day], within(p.Day, 1), within(p.Day, 7), within(p.Day, 28), within(p.Day, 30)}
		if p.Gap || !slices.Equal(got, want) {
			t.Errorf("%s: got %v new and active, want %v; gap %t", p.Day, got, want, p.Gap)
		}
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
}

// What SHM has stored becomes what the collector would have counted, from every form
// of a dump.
func TestImport(t *testing.T) {
	instances, days := 100, 60
	if os.Getenv("ROLLCALL_SOAK") != "" {
		instances, days = 2000, 400
	}
	today := collector.DayOf(time.Now())
	s := newServer(instances, days, today)
	want := ""
	for _, form := range []string{"copy", "inserts", "column-inserts", "rows-per-insert"} {
		began := time.Now()
		lines, summary := write(t, s.dump(form), "my-app")
		t.Logf("%s: %d snapshots in %s", form, len(s.rows["snapshots"]), time.Since(began).Round(time.Millisecond))
		if !slices.Equal(summary.LeftOut, []string{"list", "note"}) || summary.Orphans+summary.Undated+summary.Moved != 0 {
			t.Errorf("%s: got %+v", form, summary)
		}
		if want == "" {
			want = lines
		}
		if lines != want {
			t.Errorf("%s: the history differs from that of COPY blocks", form)
		}
	}
	e, app, done := load(t, want)
	if collector.DayOf(time.Now()) != today {
		t.Skip("a day began while the test ran")
	}
	if done.Installations != instances {
		t.Errorf("got %+v", done)
	}
	s.check(t, e, app, collector.Range{From: done.From, To: today})
}

// Times that cannot be are moved, and nothing is lost silently.
func TestOdd(t *testing.T) {
	day, _ := collector.ParseDay("2026-05-06")
	s := &server{rows: make(map[string][][]any)}
	instance := func(id string, status string, last, created any) {
		s.add("instances", id, id, "", "Old App", "1.0", "k8s", "Staging", "linux", status, last, created, nil)
	}
	ids := make([]string, 4)
	for i := range ids {
		ids[i] = fmt.Sprintf("%08x-1111-4111-8111-111111111111", i)
	}
	instance(ids[0], "active", at(day+1, 1), at(day, 1))
	s.add("snapshots", 1, ids[0], "1970-01-01 00:00:01+00", `{"n": 5}`)
	s.add("snapshots", 2, ids[0], at(day+900, 1), `{"n": 50}`)
	instance(ids[1], "revoked", at(day+5, 1), at(day, 1)) // was revoked that day
	s.add("snapshots", 3, ids[1], at(day+2, 1), `null`)
	instance(ids[2], "pending", nil, nil)
	instance(ids[3], "active", nil, nil)
	s.add("snapshots", 4, ids[3], at(day+1, 1), `[]`)
	s.add("snapshots", 5, "ffffffff-1111-4111-8111-111111111111", at(day, 1), `{}`)
	lines, summary := write(t, s.dump("copy"), "")
	if summary.Orphans != 1 || summary.Undated != 1 || summary.Moved != 2 || summary.LeftOut != nil {
		t.Errorf("got %+v", summary)
	}
	var got []string
	for line := range strings.Lines(lines) {
		for i, id := range ids {
			if strings.Contains(line, id) {
				got = append(got, fmt.Sprint(line[len(`{"day":"`):][:10], " ", i, " ", strings.Contains(line, `"version":"1.0"`), strings.Contains(line, `"kubernetes"`),
					strings.Contains(line, `"n":"1-9"`), strings.Contains(line, `"n":"10-99"`), strings.Contains(line, `"staging"`)))
			}
		}
	}
	want := []string{
		"2026-05-06 0 false false true false false", "2026-05-06 1 false false false false false", "2026-05-07 0 true true false true true",
		"2026-05-07 3 true true false false true", "2026-05-08 1 true true false false true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q\n%s", got, want, lines)
	}
}

func TestChoose(t *testing.T) {
	s := newServer(1, 1, collector.DayOf(time.Now()))
	d, err := shm.Read(t.Context(), strings.NewReader(s.dump("copy")))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for named, want := range map[string]string{"other": "other", "Other": "other", "my-app": "my-app"} {
		if got, err := d.Choose(t.Context(), named); err != nil || got != want {
			t.Errorf("%s: got %q, %v", named, got, err)
		}
	}
	for named, want := range map[string]string{
		"":      "the dump has several applications: my-app, other",
		"third": `the dump has no application "third": my-app, other`,
	} {
		if _, err := d.Choose(t.Context(), named); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", named, err, want)
		}
	}
}

// What is no dump, or only part of one, is refused, with the line.
func TestMalformed(t *testing.T) {
	s := newServer(3, 10, collector.DayOf(time.Now()))
	whole := s.dump("copy")
	instances := "COPY instances (instance_id, created_at, last_seen_at) FROM stdin;\n"
	for text, want := range map[string]string{
		"PGDMP\x01\x02":                       "custom format",
		"\x1f\x8b\x08":                        "compressed",
		"\xff\xfe-\x00-\x00":                  "UTF-16",
		"S\x00":                               "line 1: it has a zero byte",
		"SELECT 'x":                           "line 1: the dump ends within a text that begins in line 1",
		"\n\nSELECT 1":                        "line 3: the dump ends within a statement",
		"/* x":                                "not complete",
		instances + "a\t\\N\n":                "line 2: a row of instances has 2 values, want 3",
		instances + "a\t1\t\\N\n\\.":          `line 2: table instances: created_at: "1" is no time`,
		instances + "a\t\\N\t\\N\n":           "line 3: the dump ends within the rows of instances",
		instances + "\\N\t\\N\t\\N\n\\.":      "it has no instance_id",
		"INSERT INTO instances VALUES ('a');": "the columns of instances are not known",
		"INSERT INTO instances (instance_id) VALUES ('a', 'b');":                                              "more than 1 values",
		"INSERT INTO instances (instance_id, os_arch) VALUES ('a');":                                          "has 1 values, want 2",
		"\nINSERT INTO instances (instance_id) VALUES ('a'),\n('b'),\n;":                                      `line 4: got ";"`,
		"INSERT INTO snapshots (instance_id, snapshot_at, data) VALUES ('a', '2026-05-06 00:00:00+00', '{');": "its data is no JSON",
		"--\n-- PostgreSQL database dump\n--\nSELECT 1;\n":                                                    "line 5: the dump ends before the comment",
		whole[:len(whole)/2]: "not complete",
	} {
		d, err := shm.Read(t.Context(), strings.NewReader(text))
		if !errors.Is(err, shm.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want %s", text, err, want)
		}
		d.Close()
	}
	for _, text := range []string{"", "hello;", schema, "-- x", "$1;", "\\x", "-- PostgreSQL database dump\n-- PostgreSQL database dump complete"} {
		if _, err := shm.Read(t.Context(), strings.NewReader(text)); !errors.Is(err, shm.ErrNotDump) {
			t.Errorf("%.20q: got %v, want %v", text, err, shm.ErrNotDump)
		}
	}
	// Line ends of Windows do not matter.
	crlf, _ := write(t, strings.ReplaceAll(whole, "\n", "\r\n"), "my-app")
	if plain, _ := write(t, whole, "my-app"); crlf != plain {
		t.Error("the history differs with line ends of Windows")
	}
}
