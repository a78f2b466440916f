package rollcall_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
	"github.com/rollcall-dev/rollcall/report"
)

var diskFull = rollcall.Fault{Source: "test", Component: "disk", Reason: "full"}

func withContext(keys ...string) func(*rollcall.Config) {
	return func(c *rollcall.Config) { c.Reporting.FaultContext = keys }
}

// faultLines returns the faults of the health report as it would be sent now.
func faultLines(t *testing.T, service *rollcall.Service) []report.Fault {
	t.Helper()
	body := preview(t, service).Health
	if body == nil {
		return nil
	}
	h, dropped, err := report.ParseHealth(body)
	if err != nil || dropped != (report.Dropped{}) {
		t.Errorf("health report: got %+v, %v\n%s", dropped, err, body)
	}
	return h.Faults
}

func wantFaults(t *testing.T, service *rollcall.Service, want ...string) {
	t.Helper()
	var got []string
	for _, g := range faultLines(t, service) {
		got = append(got, fmt.Sprintf("%s/%s/%s/%s/%s %d %v", g.Source, g.Component, g.Reason, g.Stage, g.Severity, g.Count, g.Context))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got faults\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// TestReportingFaults covers which faults are counted, under which key, and which
// are left out.
func TestReportingFaults(t *testing.T) {
	long := strings.Repeat("a", report.MaxCodeLen)
	with := func(change func(*rollcall.Fault)) rollcall.Fault {
		fault := diskFull
		change(&fault)
		return fault
	}
	tests := []struct {
		name  string
		fault rollcall.Fault
		want  string // "" if it is left out
	}{
		{"plain", diskFull, "test/disk/full//error 1 map[]"},
		{"every field", rollcall.Fault{"s", "c", "r", "st", report.SeverityCritical, map[string]string{"op": "write", "fs.kind": "ext4"}},
			"s/c/r/st/critical 1 map[fs.kind:ext4 op:write]"},
		{"longest codes", with(func(i *rollcall.Fault) { i.Reason = long }), "test/disk/" + long + "//error 1 map[]"},
		{"context not declared", with(func(i *rollcall.Fault) { i.Context = map[string]string{"user": "bob", "op": "read"} }),
			"test/disk/full//error 1 map[op:read]"},
		{"context of free text", with(func(i *rollcall.Fault) { i.Context = map[string]string{"op": "/home/bob/x.txt"} }),
			"test/disk/full//error 1 map[]"},

		{"no source", with(func(i *rollcall.Fault) { i.Source = "" }), ""},
		{"no component", with(func(i *rollcall.Fault) { i.Component = "" }), ""},
		{"no reason", with(func(i *rollcall.Fault) { i.Reason = "" }), ""},
		{"free text", with(func(i *rollcall.Fault) { i.Reason = "open /home/bob: no such file" }), ""},
		{"upper case", with(func(i *rollcall.Fault) { i.Component = "Disk" }), ""},
		{"too long", with(func(i *rollcall.Fault) { i.Stage = long + "a" }), ""},
		{"not ASCII", with(func(i *rollcall.Fault) { i.Source = "tést" }), ""},
		{"unknown severity", with(func(i *rollcall.Fault) { i.Severity = "fatal" }), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			service := newSite(t, grantedBoth).start(withContext("op", "fs.kind"))
			service.ReportFault(tt.fault)
			leftOut := int64(0)
			if tt.want == "" {
				wantFaults(t, service)
				leftOut = 1
			} else {
				wantFaults(t, service, tt.want)
			}
			if got := service.Status().Reporting.FaultsLeftOut; got != leftOut {
				t.Errorf("got %d left out, want %d", got, leftOut)
			}
		})
	}
}

// TestReportingFaultContext: a report has the last context that was given.
func TestReportingFaultContext(t *testing.T) {
	service := newSite(t, grantedBoth).start(withContext("op", "fs"))
	for i, want := range []string{"map[]", "map[fs:ext4 op:read]", "map[fs:ext4 op:read]", "map[op:write]", "map[]"} {
		fault := diskFull
		fault.Context = []map[string]string{
			nil, {"op": "read", "fs": "ext4"}, {}, {"op": "write"}, {"op": "not a code"},
		}[i]
		service.ReportFault(fault)
		wantFaults(t, service, fmt.Sprintf("test/disk/full//error %d %s", i+1, want))
	}
}

// TestReportingFaultBounds: at most 25 faults are counted, and the first ones
// stay.
func TestReportingFaultBounds(t *testing.T) {
	s := newSite(t, grantedBoth)
	service := s.start()
	for range 3 {
		for i := range 1000 {
			fault := diskFull
			fault.Reason = fmt.Sprintf("reason%04d", i)
			service.ReportFault(fault)
		}
	}
	got := faultLines(t, service)
	if len(got) != report.MaxFaults {
		t.Fatalf("got %d faults", len(got))
	}
	for i, g := range got {
		if want := fmt.Sprintf("reason%04d", i); g.Reason != want || g.Count != 3 {
			t.Errorf("got %s counted %d times, want %s 3 times", g.Reason, g.Count, want)
		}
	}
	if n := service.Status().Reporting.FaultsLeftOut; n != 3*(1000-report.MaxFaults) {
		t.Errorf("got %d left out", n)
	}
	send(t, service)
	if h := s.lastHealth(); len(h.Faults) != report.MaxFaults {
		t.Errorf("%d faults were counted", len(h.Faults))
	}
}

// TestReportingFaultsCumulate: counts and their beginning survive sending, so
// that repeated and lost reports change nothing.
func TestReportingFaultsCumulate(t *testing.T) {
	s := newSite(t, grantedBoth)
	service := s.start()
	service.ReportFault(diskFull)
	send(t, service)
	send(t, service)
	first, repeat := s.collector.HealthReports()[0], s.collector.HealthReports()[1]
	first.SentAt, repeat.SentAt = time.Time{}, time.Time{}
	if fmt.Sprint(first) != fmt.Sprint(repeat) {
		t.Errorf("a repeat changed something: got\n%+v\nwant\n%+v", repeat, first)
	}
	for range 4 {
		service.ReportFault(diskFull)
	}
	send(t, service)
	g := s.lastHealth().Faults[0]
	if g.Count != 5 || !g.Since.Equal(first.Faults[0].Since) || !g.First.Equal(first.Faults[0].First) || g.Last.Before(g.First) {
		t.Errorf("got %+v, want 5 since %v", g, first.Faults[0].Since)
	}
}

// TestReportingFaultTimes also sets the clock back.
func TestReportingFaultTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		service := r.start()
		begin := time.Now()
		service.ReportFault(diskFull)
		time.Sleep(time.Hour)
		service.ReportFault(diskFull)
		g := faultLines(t, service)[0]
		if !g.Since.Equal(begin) || !g.First.Equal(begin) || !g.Last.Equal(begin.Add(time.Hour)) || g.Count != 2 {
			t.Errorf("got %+v", g)
		}
		rollcall.ReportFaultAt(service, diskFull, begin.Add(-24*time.Hour))
		if again := faultLines(t, service)[0]; !again.First.Equal(g.First) || !again.Last.Equal(g.Last) || again.Count != 3 {
			t.Errorf("the clock was set back: got %+v", again)
		}
	})
}

// TestReportingFaultCountStops: a count stops at report.MaxFaultCount.
func TestReportingFaultCountStops(t *testing.T) {
	service := newSite(t, grantedBoth).start()
	service.ReportFault(diskFull)
	rollcall.SetFaultCounts(service, report.MaxFaultCount-1)
	for range 3 {
		service.ReportFault(diskFull)
	}
	wantFaults(t, service, fmt.Sprintf("test/disk/full//error %d map[]", report.MaxFaultCount))
}

// TestReportingFaultsDropped: faults counted under another decision are never
// sent.
func TestReportingFaultsDropped(t *testing.T) {
	one := "test/disk/full//error 1 map[]"
	health := func(value string) string {
		return strings.Replace(grantedBoth, `"health_enabled": true`, `"health_enabled": `+value, 1)
	}
	t.Run("withdrawn", func(t *testing.T) {
		s := newSite(t, grantedBoth)
		service := s.start()
		for name, set := range map[string]func(context.Context, bool) error{"health": service.SetHealthConsent, "all": service.SetConsent} {
			service.ReportFault(diskFull)
			wantFaults(t, service, one)
			if err := set(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if got := faultLines(t, service); got != nil {
				t.Errorf("%s: got %v after the withdrawal", name, got)
			}
			service.ReportFault(diskFull) // while there is no consent
			if err := set(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			send(t, service)
			if got := s.collector.HealthReports(); got != nil {
				t.Errorf("%s: sent %v", name, got)
			}
		}
		service.ReportFault(diskFull)
		send(t, service)
		if got := s.lastHealth().Faults; len(got) != 1 || got[0].Count != 1 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("by an edit of the config", func(t *testing.T) {
		s := newSite(t, health("false"))
		service := s.start()
		for _, value := range []string{"true", "false", "null", "true"} {
			service.Decisions(t.Context()) // unchanged
			service.ReportFault(diskFull)
			s.write(s.config, health(value))
			service.Decisions(t.Context())
			wantHere := 0
			if value == "null" {
				wantHere = 1 // still denied; the preview shows what would be counted
			}
			if got := faultLines(t, service); len(got) != wantHere {
				t.Errorf("%s: got %v", value, got)
			}
		}
		send(t, service)
		if got := s.collector.HealthReports(); got != nil {
			t.Errorf("sent %v", got)
		}
	})
	t.Run("not by a config that cannot be read", func(t *testing.T) {
		s := newSite(t, grantedBoth)
		service := s.start()
		service.ReportFault(diskFull)
		s.write(s.config, grantedBoth[:20])
		if d := service.Decisions(t.Context()); d.Health.State != rollcall.Denied {
			t.Errorf("got %v", d.Health)
		}
		s.write(s.config, grantedBoth)
		send(t, service)
		if got := s.lastHealth().Faults; len(got) != 1 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("not what was counted before the first look", func(t *testing.T) {
		s := newSite(t, grantedBoth)
		service := s.make()
		service.ReportFault(diskFull)
		if err := service.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		send(t, service)
		if got := s.lastHealth().Faults; len(got) != 1 {
			t.Errorf("got %v", got)
		}
	})
}

// TestReportingFaultsConcurrently gives the race detector something to find.
func TestReportingFaultsConcurrently(t *testing.T) {
	s := newSite(t, grantedBoth)
	service := s.start(withContext("op"))
	log := slog.New(rollcall.FaultHandler(service, nil, rollcall.FaultHandlerOptions{Source: "log", Component: "main"}))
	const goroutines, rounds = 8, 200
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			for range rounds {
				service.ReportFault(rollcall.Fault{Source: "test", Component: "disk", Reason: "full", Context: map[string]string{"op": fmt.Sprintf("op%d", i)}})
				log.Warn("something", "n", i)
			}
		})
	}
	for range 5 {
		faultLines(t, service)
		service.Status()
		send(t, service)
	}
	wg.Wait()
	for _, g := range faultLines(t, service) {
		if g.Count != goroutines*rounds {
			t.Errorf("got %s counted %d times, want %d", g.Reason, g.Count, goroutines*rounds)
		}
	}
}

// TestReportFaultAllocates: counting a known fault allocates nothing.
func TestReportFaultAllocates(t *testing.T) {
	service, err := rollcall.New(rollcall.Config{App: "my-app", StateDir: faultfs.Abs("/state"), Reporting: rollcall.ReportingConfig{FaultContext: []string{"op"}}})
	if err != nil {
		t.Fatal(err)
	}
	with := diskFull
	with.Context = map[string]string{"op": "write", "other": "not declared"}
	log := slog.New(rollcall.FaultHandler(service, nil, rollcall.FaultHandlerOptions{
		Source: "log", Component: "main", ComponentKey: "component", Reasons: map[string]string{"Disk is full": "disk-full"},
	}))
	for name, do := range map[string]func(){
		"ReportFault":              func() { service.ReportFault(diskFull) },
		"ReportFault with context": func() { service.ReportFault(with) },
		"not valid":                func() { service.ReportFault(rollcall.Fault{}) },
		"nil service":              func() { (*rollcall.Service)(nil).ReportFault(diskFull) },
		"FaultHandler": func() {
			log.LogAttrs(context.Background(), slog.LevelWarn, "Disk is full", slog.String("component", "disk"))
		},
	} {
		do()
		if n := testing.AllocsPerRun(100, do); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestFaultHandler covers which records become which faults. Their text never
// does.
func TestFaultHandler(t *testing.T) {
	options := rollcall.FaultHandlerOptions{
		Source: "log", Component: "main", ComponentKey: "component",
		Reasons: map[string]string{"Disk is full": "disk-full", "Odd": "not a code"},
	}
	secret := slog.String("path", "/home/bob")
	tests := []struct {
		name string
		log  func(*slog.Logger)
		want []string
	}{
		{"debug and info", func(l *slog.Logger) {
			l.Debug("Disk is full")
			l.Info("Disk is full")
			l.Log(t.Context(), 3, "Disk is full")
		}, nil},
		{"warning", func(l *slog.Logger) { l.Warn("Disk is full", secret) }, []string{"log/main/disk-full//warning 1 map[]"}},
		{"more than a warning", func(l *slog.Logger) { l.Log(t.Context(), 7, "Disk is full") }, []string{"log/main/disk-full//warning 1 map[]"}},
		{"error", func(l *slog.Logger) { l.Error("Disk is full", secret) }, []string{"log/main/disk-full//error 1 map[]"}},
		{"more than an error", func(l *slog.Logger) { l.Log(t.Context(), 12, "Disk is full") }, []string{"log/main/disk-full//error 1 map[]"}},
		{"unlisted", func(l *slog.Logger) { l.Error("open /home/bob: no"); l.Error("other") }, []string{"log/main/unlisted//error 2 map[]"}},
		{"listed wrongly", func(l *slog.Logger) { l.Error("Odd") }, []string{"log/main/unlisted//error 1 map[]"}},

		{"component", func(l *slog.Logger) { l.Warn("Disk is full", "component", "disk") }, []string{"log/disk/disk-full//warning 1 map[]"}},
		{"component of the logger", func(l *slog.Logger) { l.With("component", "disk").Warn("Disk is full") }, []string{"log/disk/disk-full//warning 1 map[]"}},
		{"component of the record takes precedence", func(l *slog.Logger) { l.With("component", "disk").Warn("Disk is full", "component", "raid") },
			[]string{"log/raid/disk-full//warning 1 map[]"}},
		{"component is free text", func(l *slog.Logger) { l.Warn("Disk is full", "component", "Bob's disk") }, []string{"log/main/disk-full//warning 1 map[]"}},
		{"component is a number", func(l *slog.Logger) { l.Warn("Disk is full", "component", 7) }, []string{"log/main/disk-full//warning 1 map[]"}},
		{"component is a LogValuer", func(l *slog.Logger) { l.Warn("Disk is full", "component", valuer("disk")) }, []string{"log/disk/disk-full//warning 1 map[]"}},
		{"component panics", func(l *slog.Logger) { l.Warn("Disk is full", "component", panicking{}) }, []string{"log/main/disk-full//warning 1 map[]"}},
		{"component in a group", func(l *slog.Logger) {
			l.WithGroup("g").Warn("Disk is full", "component", "disk")
			l.WithGroup("g").With("component", "disk").Warn("Disk is full")
			l.Warn("Disk is full", slog.Group("g", "component", "disk"))
		}, []string{"log/main/disk-full//warning 3 map[]"}},
		{"component before a group", func(l *slog.Logger) { l.With("component", "disk").WithGroup("g").Warn("Disk is full") },
			[]string{"log/disk/disk-full//warning 1 map[]"}},
		{"component in a group without a name", func(l *slog.Logger) {
			l.WithGroup("").Warn("Disk is full", slog.Group("", "component", "disk"))
		}, []string{"log/disk/disk-full//warning 1 map[]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			service := newSite(t, grantedBoth).start()
			tt.log(slog.New(rollcall.FaultHandler(service, slog.DiscardHandler, options)))
			wantFaults(t, service, tt.want...)
		})
	}
}

type valuer string

func (v valuer) LogValue() slog.Value { return slog.StringValue(string(v)) }

type panicking struct{}

func (panicking) LogValue() slog.Value { panic("host") }

// TestFaultHandlerOptions: level, stage, and context.
func TestFaultHandlerOptions(t *testing.T) {
	level := new(slog.LevelVar)
	level.Set(slog.LevelInfo)
	options := rollcall.FaultHandlerOptions{
		Source: "log", Component: "main", Stage: "run", Level: level, StageKey: "stage", ContextKeys: []string{"op", "secret"},
	}
	for name, tt := range map[string]struct {
		log  func(*slog.Logger)
		want []string
	}{
		"levels": {func(l *slog.Logger) {
			l.Debug("a")
			l.Info("a")
			l.Warn("a")
			l.Error("a")
			level.Set(slog.LevelError)
			l.Warn("a")
			l.Error("a")
			level.Set(slog.LevelInfo)
		}, []string{"log/main/unlisted/run/error 2 map[]", "log/main/unlisted/run/info 1 map[]", "log/main/unlisted/run/warning 1 map[]"}},
		"stage": {func(l *slog.Logger) {
			l.Warn("a", "stage", "save")
			l.With("stage", "load").Warn("a")
			l.Warn("a", "stage", "Free text")
		}, []string{"log/main/unlisted/load/warning 1 map[]", "log/main/unlisted/run/warning 1 map[]", "log/main/unlisted/save/warning 1 map[]"}},
		"context": {func(l *slog.Logger) { l.Warn("a", "op", "write", "secret", "x", "other", "y") },
			[]string{"log/main/unlisted/run/warning 1 map[op:write]"}},
		"context of the logger": {func(l *slog.Logger) {
			with := l.With("op", "read", "stage", "load")
			with.Warn("a", "op", "write") // changes nothing for the next one
			with.Warn("a")
		}, []string{"log/main/unlisted/load/warning 2 map[op:read]"}},
		"context that is no code": {func(l *slog.Logger) { l.Warn("a", "op", "/home/bob") }, []string{"log/main/unlisted/run/warning 1 map[]"}},
		"context in a group":      {func(l *slog.Logger) { l.WithGroup("g").Warn("a", "op", "write") }, []string{"log/main/unlisted/run/warning 1 map[]"}},
	} {
		t.Run(name, func(t *testing.T) {
			service := newSite(t, grantedBoth).start(withContext("op"))
			tt.log(slog.New(rollcall.FaultHandler(service, slog.DiscardHandler, options)))
			wantFaults(t, service, tt.want...)
		})
	}
}

// TestFaultHandlerHandsOn: the next handler receives what it would receive
// without FaultHandler, and its errors are returned.
func TestFaultHandlerHandsOn(t *testing.T) {
	s := newSite(t, grantedBoth)
	service := s.start()
	options := rollcall.FaultHandlerOptions{Source: "log", Component: "main"}
	do := func(next slog.Handler) {
		l := slog.New(next)
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("").Log(t.Context(), level, "text", "c", 3)
		}
	}
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelWarn, slog.LevelError, 100} {
		var with, without bytes.Buffer
		plain := func(out *bytes.Buffer) slog.Handler {
			return slog.NewTextHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: noTime})
		}
		do(rollcall.FaultHandler(service, plain(&with), options))
		do(plain(&without))
		if with.String() != without.String() {
			t.Errorf("level %v: got\n%s\nwant\n%s", level, &with, &without)
		}
	}
	wantFaults(t, service, "log/main/unlisted//error 4 map[]", "log/main/unlisted//warning 4 map[]")

	h := rollcall.FaultHandler(service, slog.NewTextHandler(new(bytes.Buffer), nil), options)
	if !h.Enabled(t.Context(), slog.LevelInfo) || h.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("below a warning, Enabled is not that of the next handler")
	}
	failure := errors.New("disk full")
	if err := rollcall.FaultHandler(service, failing{failure}, options).Handle(t.Context(), slog.Record{Level: slog.LevelError}); !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
	next := slog.NewTextHandler(new(bytes.Buffer), nil)
	if got := rollcall.FaultHandler(nil, next, options); got != slog.Handler(next) {
		t.Error("without a service, it is not the next handler")
	}
	slog.New(rollcall.FaultHandler(nil, nil, options)).Error("goes nowhere")
}

func noTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// failing is a handler that returns errors.
type failing struct{ err error }

func (failing) Enabled(context.Context, slog.Level) bool    { return true }
func (f failing) Handle(context.Context, slog.Record) error { return f.err }
func (f failing) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f failing) WithGroup(string) slog.Handler             { return f }

// TestFaultHandlerContract runs the handler tests of testing/slogtest.
func TestFaultHandlerContract(t *testing.T) {
	service, err := rollcall.New(rollcall.Config{App: "my-app", StateDir: faultfs.Abs("/state")})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return rollcall.FaultHandler(service, slog.NewJSONHandler(&out, nil), rollcall.FaultHandlerOptions{
			Source: "log", Component: "main", ComponentKey: "a",
		})
	}, func(t *testing.T) map[string]any {
		return parseObject(t, out.Bytes())
	})
}

// TestFaultHandlerOfOwnLogger: the warnings of the service itself are no faults
// of its host, even if the service logs through the handler.
func TestFaultHandlerOfOwnLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Chmod(configPath, 0o444)
		var service *rollcall.Service
		handler := &lateHandler{}
		service = r.make(func(c *rollcall.Config) { c.Logger = slog.New(handler) })
		handler.Handler = rollcall.FaultHandler(service, r.log, rollcall.FaultHandlerOptions{Source: "log", Component: "rollcall"})
		if err := service.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantFaults(t, service)
		slog.New(handler).Warn("of the host")
		wantFaults(t, service, "log/rollcall/unlisted//warning 1 map[]")
	})
}

// A lateHandler is created before the handler that it passes records to.
type lateHandler struct{ slog.Handler }

func (l *lateHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return l.Handler.Enabled(ctx, level)
}
func (l *lateHandler) Handle(ctx context.Context, r slog.Record) error {
	return l.Handler.Handle(ctx, r)
}
