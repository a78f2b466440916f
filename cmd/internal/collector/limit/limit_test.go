package limit_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

func TestBurstAndInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := limit.New(100, time.Minute, 3)
		key := limit.Of("a")
		for i := range 3 {
			if _, ok := table.Take(key); !ok {
				t.Fatalf("event %d of a burst of 3 is refused", i+1)
			}
		}
		if wait, ok := table.Take(key); ok || wait != time.Minute {
			t.Errorf("got %v, %v after the burst, want to wait a minute", wait, ok)
		}
		if wait, ok := table.Left(key); ok || wait != time.Minute {
			t.Errorf("Left: got %v, %v after the burst, want to wait a minute", wait, ok)
		}
		if _, ok := table.Take(limit.Of("b")); !ok {
			t.Error("another key is refused")
		}
		time.Sleep(time.Minute - 1)
		if wait, ok := table.Take(key); ok || wait != 1 {
			t.Errorf("got %v, %v just before the interval ends, want to wait 1ns", wait, ok)
		}
		time.Sleep(time.Nanosecond)
		if _, ok := table.Left(key); !ok {
			t.Error("nothing is left after an interval")
		}
		if _, ok := table.Take(key); !ok {
			t.Error("an event is refused after an interval")
		}
		if _, ok := table.Take(key); ok {
			t.Error("a second event is allowed after one interval")
		}
		time.Sleep(time.Hour)
		for i := range 4 {
			if _, ok := table.Take(key); ok != (i < 3) {
				t.Errorf("event %d after a long time: got %v, want %v", i+1, ok, i < 3)
			}
		}
	})
}

func TestPrefix(t *testing.T) {
	addr := netip.MustParseAddr
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:1:2:3", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"2001:db8::1", "2001:db8::1%eth0", true},
	} {
		if same := limit.Prefix(addr(test.a)) == limit.Prefix(addr(test.b)); same != test.same {
			t.Errorf("%s and %s: got same %v, want %v", test.a, test.b, same, test.same)
		}
	}
}

func TestClient(t *testing.T) {
	for remote, addr := range map[string]netip.Addr{
		"192.0.2.1:1234":         netip.MustParseAddr("192.0.2.1"),
		"[2001:db8::1]:0":        netip.MustParseAddr("2001:db8::2"),
		"[fe80::1%eth0]:80":      netip.MustParseAddr("fe80::1"),
		"[::ffff:192.0.2.1]:443": netip.MustParseAddr("192.0.2.1"),
		"":                       {},
		"pipe":                   {},
	} {
		r := &http.Request{RemoteAddr: remote}
		if limit.Client(r) != limit.Prefix(addr) {
			t.Errorf("%q has another key than %s", remote, addr)
		}
		if got := limit.Client(r.WithContext(limit.WithClient(t.Context(), 5))); got != 5 {
			t.Errorf("%q from another replica: got %d, want its key", remote, got)
		}
	}
}

// A million keys need no more memory than none. TestActiveKeysAreKept covers the
// case of fewer active keys than slots.
func TestMemoryIsBounded(t *testing.T) {
	table := limit.New(1<<14, time.Hour, 2)
	if bytes, want := table.Slots()*16, 1<<18; bytes < want || bytes > 2*want {
		t.Errorf("a table of %d slots takes %d bytes, want %d at least and at most twice that", table.Slots(), bytes, want)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 1_000_000 {
		table.Take(limit.Of(fmt.Sprint(i)))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("a million keys made the heap grow by %d bytes", grown)
	}
}

func TestActiveKeysAreKept(t *testing.T) {
	table := limit.New(1<<14, time.Hour, 2)
	spent := limit.Of("spent")
	table.Take(spent)
	table.Take(spent)
	for i := range 1 << 12 {
		table.Take(limit.Of(fmt.Sprint(i)))
	}
	if _, ok := table.Take(spent); ok {
		t.Error("a key was forgotten while three of four slots were free")
	}
}

// Concurrent callers together get the burst and no more.
func TestConcurrent(t *testing.T) {
	table := limit.New(100, time.Hour, 500)
	key := limit.Of("a")
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if _, ok := table.Take(key); ok {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 500 {
		t.Errorf("got %d events of a burst of 500", allowed.Load())
	}
}

func BenchmarkTake(b *testing.B) {
	table := limit.New(1<<16, time.Millisecond, 1000)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			table.Take(limit.Key(uint64(i) * 0x9E3779B97F4A7C15))
		}
	})
}
