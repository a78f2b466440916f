package engine_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Loading has the same result as counting.
func TestLoadIsCounting(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		counted, loaded := r.app, r.addApp(collector.App{Key: "loaded"})
		first := today()
		active := func(day, n int) bool { return (n*7+day*3)%5 != 0 && n < 10+day*3 }
		const days, most = 45, 150
		version := func(day, n int) string { return []string{"1.0", "1.1", "1.2"}[min(2, (day+n%9)/20)] }
		for day := range days {
			for n := range most {
				if active(day, n) {
					r.send(r.heartbeat(n, version(day, n)))
				}
			}
			r.nextDay()
		}
		l, err := r.e.Load(t.Context(), loaded.Num)
		if err != nil {
			t.Fatal(err)
		}
		r.app = loaded
		if _, err := r.e.Heartbeat(t.Context(), r.heartbeat(1, "1.0")); err == nil {
			t.Error("heartbeat while loading: got nil, want an error")
		}
		for day := range days {
			if err := l.Day(t.Context(), first+collector.Day(day)); err != nil {
				t.Fatal(err)
			}
			for n := range most {
				if active(day, n) {
					if err := l.Heartbeat(t.Context(), r.heartbeat(n, version(day, n))); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if err := l.Day(t.Context(), first); err == nil {
			t.Error("an earlier day: got nil, want an error")
		}
		if err := l.Day(t.Context(), today()+1); err == nil {
			t.Error("a future day: got nil, want an error")
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for day := first; day <= today(); day++ {
				r.app = counted
				want := r.point(day)
				r.app = loaded
				if got := r.point(day); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %+v, want %+v", day, got, want)
				}
			}
			r.crash()
		}
		if _, err := r.e.Load(t.Context(), loaded.Num); err == nil {
			t.Error("loading again: got nil, want an error")
		}
		if got := r.send(r.heartbeat(0, "1.2")); got.New {
			t.Error("a loaded installation counts as new")
		}
	})
}

// New, Active and Change count like heartbeats.
func TestLoadByNumber(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(20 * 24 * time.Hour)
		l, err := r.e.Load(t.Context(), r.app.Num)
		if err != nil {
			t.Fatal(err)
		}
		first := today() - 10
		var nums []collector.Num
		for day := range collector.Day(10) {
			if err := l.Day(t.Context(), first+day); err != nil {
				t.Fatal(err)
			}
			for _, num := range nums {
				l.Active(num)
				if day == 5 {
					if err := l.Change(t.Context(), num, map[string]string{collector.DimVersion: "2"}); err != nil {
						t.Fatal(err)
					}
				}
			}
			num, err := l.New(t.Context(), collector.Key{byte(day)}, map[string]string{collector.DimVersion: "1"})
			if err != nil {
				t.Fatal(err)
			}
			nums = append(nums, num)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.crash()
		p := r.point(today() - 1)
		r.wants("active", p.Active.Day, 10)
		r.wants("new", p.New, 1)
		r.wants("established", p.Established.Day, 9)
	})
}
