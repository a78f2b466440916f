package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
)

// A settings keeps records in memory.
type settings struct {
	mu      sync.Mutex
	records map[string][]byte
	err     error
	puts    int
}

func (s *settings) Setting(_ context.Context, _ collector.AppNum, name string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.records[name]
	return data, ok, s.err
}

func (s *settings) PutSetting(_ context.Context, _ collector.AppNum, name string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if len(data) > collector.MaxSettingBytes {
		return errors.New("too large")
	}
	s.records[name] = data
	s.puts++
	return nil
}

func entries(t *testing.T, l *audit.Log, app string) []audit.Entry {
	t.Helper()
	list, err := l.Entries(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &settings{records: make(map[string][]byte)}
		var lines bytes.Buffer
		log := audit.New(store, &lines)
		ctx, stop := context.WithCancel(t.Context())
		go log.Run(ctx)
		log.Add(audit.Entry{Action: audit.TokenAdded, Actor: audit.CommandLine, App: "a", Detail: "token me, admin"})
		log.Add(audit.Entry{Action: audit.SignedIn, Actor: "me", App: "b"})
		time.Sleep(audit.FlushAfter)
		synctest.Wait()
		// A second process that opens the store sees what is durable.
		list := entries(t, audit.New(store, nil), "")
		if len(list) != 2 || list[0].Actor != "me" || list[1].Detail != "token me, admin" || list[1].Time.IsZero() {
			t.Fatalf("got %+v", list)
		}
		if list := entries(t, log, "a"); len(list) != 1 || list[0].App != "a" {
			t.Errorf("of app a: got %+v", list)
		}
		stop()
		synctest.Wait()
		var e audit.Entry
		if err := json.Unmarshal([]byte(strings.Split(lines.String(), "\n")[0]), &e); err != nil || e.Action != audit.TokenAdded {
			t.Errorf("lines: got %s", &lines)
		}
	})
}

// A flood adds two entries a minute: its first event, and then the count.
func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &settings{records: make(map[string][]byte)}
		log := audit.New(store, nil)
		ctx, stop := context.WithCancel(t.Context())
		go log.Run(ctx)
		begin := time.Now()
		for range 100 {
			for range 1000 {
				log.Add(audit.Entry{Action: audit.TokenRefused, Actor: audit.Nobody})
			}
			time.Sleep(time.Second)
		}
		stop()
		synctest.Wait()
		list := entries(t, log, "")
		total := 0
		for _, e := range list {
			total += max(1, e.Count)
			if e.Time.Before(begin) || e.Time.After(time.Now()) {
				t.Errorf("%+v: the time is not between %v and %v", e, begin, time.Now())
			}
		}
		if len(list) != 4 || total != 100*1000 {
			t.Errorf("got %d entries about %d refusals: %+v", len(list), total, list)
		}
	})
}

// The oldest entries go, and the order stays, over restarts.
func TestBounded(t *testing.T) {
	store := &settings{records: make(map[string][]byte)}
	for i := range audit.MaxEntries + 450 {
		if i%700 == 0 {
			l := audit.New(store, nil)
			for j := i; j < min(i+700, audit.MaxEntries+450); j++ {
				l.Add(audit.Entry{Action: audit.AppChanged, Actor: audit.CommandLine, Detail: fmt.Sprint(j)})
			}
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := entries(t, audit.New(store, nil), "")
	if len(list) > audit.MaxEntries || len(list) < audit.MaxEntries-250 || list[0].Detail != fmt.Sprint(audit.MaxEntries+449) {
		t.Fatalf("got %d entries, the newest %+v", len(list), list[0])
	}
	for i := 1; i < len(list); i++ {
		var a, b int
		fmt.Sscan(list[i-1].Detail, &a)
		fmt.Sscan(list[i].Detail, &b)
		if a != b+1 {
			t.Fatalf("entry %d is followed by %d", a, b)
		}
	}
}

// Entries survive a store that fails for a while. A nil log discards them.
func TestStoreFails(t *testing.T) {
	store := &settings{records: make(map[string][]byte), err: errors.New("disk full")}
	log := audit.New(store, nil)
	log.Add(audit.Entry{Action: audit.Exported, Actor: "me"})
	if log.Flush(t.Context()) == nil {
		t.Error("got no error")
	}
	for i := range 5000 {
		log.Add(audit.Entry{Action: audit.Exported, Actor: fmt.Sprint(i)})
	}
	store.err = nil
	if list := entries(t, log, ""); len(list) != 1000 || list[999].Actor != "me" {
		t.Errorf("got %d entries", len(list))
	}
	var none *audit.Log
	none.Add(audit.Entry{})
	if list, err := none.Entries(t.Context(), ""); list != nil || err != nil || none.Flush(t.Context()) != nil {
		t.Errorf("nil log: got %v, %v", list, err)
	}
}

// What the admins of one app do, with as many details as they like, neither
// fills the log nor hides what others do.
func TestDetailsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := audit.New(&settings{records: make(map[string][]byte)}, nil)
		ctx, stop := context.WithCancel(t.Context())
		go log.Run(ctx)
		for i := range 5000 {
			log.Add(audit.Entry{Action: audit.TokenAdded, Actor: fmt.Sprint("admin ", i%3), App: "app", Detail: fmt.Sprint("token ", i)})
			if i%50 == 0 {
				time.Sleep(time.Second)
			}
		}
		log.Add(audit.Entry{Action: audit.TokenAdded, Actor: "other", Detail: "token of another app"})
		stop()
		synctest.Wait()
		list := entries(t, log, "")
		total := 0
		for _, e := range list {
			total += max(1, e.Count)
		}
		if len(list) > 100 || total != 5001 {
			t.Errorf("got %d entries about %d changes", len(list), total)
		}
		if len(entries(t, log, "")) == len(entries(t, log, "app")) {
			t.Error("what another app's admin did is missing")
		}
	})
}

// A detail is one line of text, whoever sent it.
func TestDetailsArePrintable(t *testing.T) {
	log := audit.New(&settings{records: make(map[string][]byte)}, nil)
	log.Add(audit.Entry{Action: audit.FaultTriaged, Actor: "me", Detail: "a\n2026-01-02\tcommand line\x1b[2J\u202e\xff"})
	if got, want := entries(t, log, "")[0].Detail, "a 2026-01-02 command line [2J "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What cannot be stored can be seen.
func TestEntriesOnFullDisk(t *testing.T) {
	store := &fullSettings{settings{records: make(map[string][]byte)}}
	log := audit.New(store, nil)
	log.Add(audit.Entry{Action: audit.SignedIn, Actor: "me"})
	if list := entries(t, log, ""); len(list) != 1 || list[0].Actor != "me" {
		t.Errorf("got %+v", list)
	}
}

// A fullSettings can be read, and not written.
type fullSettings struct{ settings }

func (*fullSettings) PutSetting(context.Context, collector.AppNum, string, []byte) error {
	return collector.ErrUnavailable
}

func TestChanged(t *testing.T) {
	before, after := collector.App{Key: "a", K: 5, Public: true}, collector.App{Key: "a", K: 7, Name: "A"}
	if got, want := audit.Changed(before, after), "k, name, public"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
