package rollcall_test

import (
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// TestCounter: a count covers seven days, today included.
func TestCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c rollcall.Counter
		want := func(n int64) {
			t.Helper()
			if got := c.Week(); got != n {
				t.Errorf("got %d, want %d", got, n)
			}
		}
		want(0)
		c.Add(3)
		c.Add(-5)
		c.Add(0)
		want(3)
		time.Sleep(24 * time.Hour)
		c.Add(4)
		want(7)
		time.Sleep(6*24*time.Hour - time.Second)
		want(7) // the last second of the seventh day
		time.Sleep(time.Second)
		want(4)
		time.Sleep(24 * time.Hour)
		want(0)
		c.Add(1)
		time.Sleep(1000 * 24 * time.Hour)
		want(0)
		c.Add(math.MaxInt64)
		c.Add(1)
		want(math.MaxInt64)
		time.Sleep(24 * time.Hour)
		c.Add(1)
		want(math.MaxInt64)
	})
}

// TestCounterKept: counts that the host keeps go on after a restart, and those
// that are too old end.
func TestCounterKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var before rollcall.Counter
		before.Add(3)
		time.Sleep(2 * 24 * time.Hour)
		before.Add(4)
		text, err := before.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		restore := func() *rollcall.Counter {
			t.Helper()
			after := new(rollcall.Counter)
			after.Add(10)
			if err := after.UnmarshalText(text); err != nil {
				t.Fatal(err)
			}
			return after
		}
		for _, want := range []int64{17, 17, 17, 17, 17, 14, 14, 10, 10} {
			if got := restore().Week(); got != want {
				t.Errorf("%v: got %d, want %d", time.Now(), got, want)
			}
			time.Sleep(24 * time.Hour)
		}
		var c rollcall.Counter
		for _, damaged := range []string{"x", "1 2 3", "1 2 3 4 5 6 7 -8", "1 2 3 4 5 6 7 8 9", "99999999999999999999 1 2 3 4 5 6 7"} {
			if err := c.UnmarshalText([]byte(damaged)); err == nil || c.Week() != 0 {
				t.Errorf("%q: got %v, and %d", damaged, err, c.Week())
			}
		}
		future := "9223372036854775807 1 1 1 1 1 1 1"
		if err := errors.Join(c.UnmarshalText(nil), c.UnmarshalText([]byte(future))); err != nil || c.Week() != 0 {
			t.Errorf("got %v, and %d", err, c.Week())
		}
	})
}

// TestCounterConcurrently loses no count.
func TestCounterConcurrently(t *testing.T) {
	var c rollcall.Counter
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				c.Add(1)
			}
		})
	}
	all.Wait()
	if got := c.Week(); got != 8000 {
		t.Errorf("got %d", got)
	}
}

// TestEnvironment: only the four values are sent.
func TestEnvironment(t *testing.T) {
	for value, want := range map[string]string{"production": "production", "test": "test", "Production": "", "eu-west": "", "": ""} {
		s := newSite(t, granted)
		service := s.start(func(c *rollcall.Config) { c.Facts = []rollcall.Fact{rollcall.Environment(value)} })
		send(t, service)
		if got, _ := s.lastHeartbeat().Facts.Get("environment"); got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
}

// TestCounterFact: the range is sent, and never the number.
func TestCounterFact(t *testing.T) {
	var exports rollcall.Counter
	exports.Add(42)
	s := newSite(t, granted)
	service := s.start(func(c *rollcall.Config) {
		c.Facts = []rollcall.Fact{exports.Fact("exports.week", "Shows whether exports are in use.", 1, 10, 100)}
	})
	send(t, service)
	if got, _ := s.lastHeartbeat().Facts.Get("exports.week"); got != "10-99" {
		t.Errorf("got %q", got)
	}
}
