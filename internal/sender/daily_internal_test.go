package sender

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

func TestOnceADay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(3 * time.Hour)
		s := r.sender()
		s.Start()
		time.Sleep(time.Minute)
		if n := r.count(); n != 0 {
			t.Errorf("got %d reports in the first minute, want none", n)
		}
		time.Sleep(time.Minute)
		if n := r.count(); n != 1 {
			t.Fatalf("got %d reports in the first two minutes, want 1", n)
		}
		st := s.Status()
		if slot := schedule.PhaseOf(r.id).Slot(midnight.Add(day)); st.NextDue.Before(midnight.Add(day)) || st.NextDue.After(slot.Add(5*time.Minute)) {
			t.Errorf("next due at %v, slot at %v", st.NextDue, slot)
		}
		if st.LastSuccess.IsZero() || st.LastAttempt.IsZero() || st.LastError != "" || st.Gone || !st.Kept || st.Endpoint != testEndpoint {
			t.Errorf("got status %+v", st)
		}
		time.Sleep(30 * day)
		r.stop(s)
		checkDaily(t, r.sent(), 0, 30)
	})
}

// N5: the process ends every minute.
func TestRestarts(t *testing.T) {
	t.Parallel()
	for n := range 2 {
		inBubble(t, func(t *testing.T, r *rig) {
			r.id = testID(n)
			for range 3 * day / time.Minute {
				r.live(time.Minute)
			}
			checkDaily(t, r.sent(), 1, 3)
		})
	}
}

// A process that is killed in the middle of an attempt, each time, makes no
// more attempts for it.
func TestRestartsDuringAttempts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(hang)
		for range 5 * day / (10 * time.Minute) {
			r.live(10 * time.Minute)
		}
		checkPerDay(t, r.sent(), 4)
		if st := r.onDisk(); st.Error != "" || !st.Failing.IsZero() {
			t.Errorf("a stop of the host counts as a failure: %+v", st)
		}
	})
}

// Replicas with one state send one heartbeat between them.
func TestReplicas(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		var replicas []*Sender
		for n := range 5 {
			s := r.sender()
			s.jitter = time.Duration(n) * time.Minute // random otherwise
			s.Start()
			replicas = append(replicas, s)
		}
		time.Sleep(10 * day)
		checkDaily(t, r.sent(), 0, 10)
		failing := r.count()
		r.answers(always(Error{Status: 503}))
		time.Sleep(10 * day)
		checkPerDay(t, r.sent()[failing:], 4)
		for _, s := range replicas {
			r.stop(s)
		}
	})
}

// The jitter of a process is random, below five minutes.
func TestJitter(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	var longest time.Duration
	for range 200 {
		s := newRig(t).sender()
		seen[s.jitter] = true
		longest = max(longest, s.jitter)
	}
	if len(seen) < 190 || longest < 4*time.Minute || longest >= 5*time.Minute {
		t.Errorf("got %d different ones of 200, the longest %v; want 200 below 5m", len(seen), longest)
	}
}

// N4: offline for a year. TestYearOffline of package schedule restarts as well.
func TestYearOffline(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(always(Error{Text: "no answer from the collector: network is unreachable"}))
		s := r.sender()
		s.Start()
		time.Sleep(day)
		const step = 5 * day
		most, size := 0, 0
		length := 365 * day
		if raceEnabled {
			length = 80 * day
		}
		for range length / step {
			time.Sleep(step)
			synctest.Wait()
			most = max(most, len(working()))
			size = max(size, r.stateSize())
		}
		r.stop(s)
		attempts := r.sent()
		var fast, slow, verySlow int
		for _, at := range attempts {
			switch failing := at.Sub(attempts[0]); {
			case failing <= 14*day:
				fast++
			case failing <= 60*day:
				slow++
			default:
				verySlow++
			}
		}
		t.Logf("%d attempts: %d in the first 14 days, %d until day 60, %d after; state at most %d bytes, %d goroutines",
			len(attempts), fast, slow, verySlow, size, most)
		checkPerDay(t, attempts, 4)
		if slow > 47 || slow < 30 || verySlow > 45 || verySlow < 35 && !raceEnabled {
			t.Errorf("got %d attempts from day 14 to 60 and %d after, want about 46 and 44", slow, verySlow)
		}
		if most > 0 || size > 300 || size == 0 {
			t.Errorf("got %d goroutines while idle, and %d bytes saved; want none, and up to 300", most, size)
		}
		if strings.Contains(r.logged.String(), "level=INFO") || strings.Contains(r.logged.String(), "level=WARN") {
			t.Errorf("logged: %s", r.logged.String())
		}

		// Back on line.
		r.answers(nil)
		s = r.sender()
		s.Start()
		time.Sleep(8 * day)
		r.stop(s)
		if st := r.onDisk(); st.Success.IsZero() || !st.Failing.IsZero() || st.Error != "" {
			t.Errorf("a week after it is back: %+v", st)
		}
	})
}

// N3: 410 stops for good, over restarts, for that endpoint.
func TestGone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(always(Error{Text: "gone", Status: 410, Gone: true}))
		r.live(3 * day)
		for range 5 {
			r.live(20 * day)
		}
		s := r.sender()
		s.Start()
		time.Sleep(day)
		if st := s.Status(); !st.Gone || !st.NextDue.IsZero() || st.LastError != "gone" {
			t.Errorf("got status %+v", st)
		}
		if err := s.SendIfDue(t.Context()); !errors.Is(err, ErrNotDue) {
			t.Errorf("SendIfDue: got %v, want %v", err, ErrNotDue)
		}
		r.stop(s)
		if n := r.count(); n != 1 {
			t.Fatalf("got %d requests, want 1", n)
		}

		other := r.senderWith(func(c *Config) { c.Endpoint = "https://other.example" })
		other.Start()
		time.Sleep(day)
		r.stop(other)
		if last := r.requests[r.total()-1]; r.total() != 2 || last.path != "https://other.example/v1/heartbeat" {
			t.Errorf("got %d requests, the last to %s; want one to the other endpoint", r.total(), last.path)
		}

		// The operator may try, and it counts if that works.
		r.answers(nil)
		s = r.sender()
		if err := s.SendNow(t.Context()); err != nil {
			t.Error(err)
		}
		r.stop(s)
		if st := r.onDisk(); st.Gone != "" {
			t.Errorf("after a success: %+v", st)
		}
	})
}

// A collector that wants no health reports still gets heartbeats.
func TestHealth(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.health = []byte("health")
		r.live(2*day + 12*time.Hour)
		health := func() (n int) {
			for _, req := range r.requests {
				if req.path == "/v1/health" && req.body == "health" {
					n++
				}
			}
			return n
		}
		if n := health(); n != r.count() || n < 2 {
			t.Errorf("got %d health reports after %d heartbeats", n, r.count())
		}
		r.answers(func(_ context.Context, req request) *Error {
			if req.path == "/v1/health" {
				return &Error{Text: "gone", Status: 410, Gone: true}
			}
			return nil
		})
		was := health()
		for range 4 {
			r.live(day)
		}
		if n := health() - was; n != 1 {
			t.Errorf("got %d health reports after the answer 410 to one, want 1", n)
		}
		checkDaily(t, r.sent(), 0, 5)
	})
}

// Only an accepted health report counts as sent.
func TestHealthSent(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		var refused bool
		r.answers(func(_ context.Context, req request) *Error {
			if refused && req.path == "/v1/health" {
				return &Error{Text: "refused", Status: 400, Refused: true}
			}
			return nil
		})
		sent := 0
		s := r.senderWith(func(c *Config) {
			c.Health = func(context.Context) ([]byte, func()) { return []byte("health"), func() { sent++ } }
		})
		for want, refuse := range []bool{true, false} {
			refused = refuse
			if err := s.SendNow(t.Context()); err != nil {
				t.Error(err)
			}
			if sent != want {
				t.Errorf("refused %v: sent is called %d times, want %d", refuse, sent, want)
			}
		}
		if total := r.total(); total != 4 || !strings.Contains(r.logged.String(), "Health report not sent") {
			t.Errorf("got %d requests, want 4; logged %s", total, r.logged.String())
		}
	})
}

// N3: a report that is refused is not retried on that day.
func TestRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(always(Error{Status: 400, Refused: true}))
		r.live(10 * day)
		checkPerDay(t, r.sent(), 1)
		if n := r.count(); n < 9 {
			t.Errorf("got %d attempts in 10 days", n)
		}
	})
}

// The sender notices within 15 minutes that its clock was set.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		var looks []time.Time
		s := r.senderWith(func(c *Config) {
			allowed := c.Allowed
			c.Allowed = func(ctx context.Context) bool {
				looks = append(looks, time.Now())
				return allowed(ctx)
			}
		})
		s.Start()
		time.Sleep(2 * day)
		r.stop(s)
		for i, at := range looks[1:] {
			if slept := at.Sub(looks[i]); slept > 15*time.Minute {
				t.Errorf("slept %v until %v, want at most 15m", slept, at)
			}
		}
		if n := len(looks); n > 2*24*4+20 {
			t.Errorf("got %d looks in two days, want one in 15 minutes and a few more", n)
		}
	})
}

// N7: a clock that shows 1970, or is beyond belief, is not followed.
func TestImplausibleClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // which starts in 2000
		r := newRig(t)
		r.live(2 * day)
		if n := r.count(); n != 0 || r.state != nil {
			t.Errorf("got %d reports in the year %d, state %s", n, time.Now().Year(), r.state)
		}
		if err := r.sender().SendIfDue(t.Context()); !errors.Is(err, ErrNotDue) {
			t.Errorf("SendIfDue: got %v, want %v", err, ErrNotDue)
		}
		time.Sleep(time.Until(time.Date(2226, 1, 1, 0, 0, 0, 0, time.UTC)))
		r.live(2 * day)
		if n := r.count(); n != 0 {
			t.Errorf("got %d reports in the year %d", n, time.Now().Year())
		}
	})
}
