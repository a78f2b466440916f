package sender

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

// A program that does not run long sends once a day, however often it runs,
// and within its time limit.
func TestSendIfDue(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{10 * time.Minute, time.Hour, day} {
		inBubble(t, func(t *testing.T, r *rig) {
			for i := range 10 * int(day/every) {
				if err := r.sender().SendIfDue(t.Context()); err != nil && !errors.Is(err, ErrNotDue) {
					t.Fatalf("run %d: %v", i, err)
				}
				time.Sleep(every)
			}
			checkDaily(t, r.sent(), 0, 10)
		})
	}
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(hang)
		for range 10 * 24 {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			began := time.Now()
			err := r.sender().SendIfDue(ctx)
			if took := time.Since(began); took > 2*time.Second+50*time.Millisecond || err == nil {
				t.Errorf("took %v with a limit of 2 seconds: %v", took, err)
			}
			cancel()
			time.Sleep(time.Hour)
		}
		checkPerDay(t, r.sent(), 4)
		if st := r.onDisk(); st.Error == "" {
			t.Errorf("nothing says that the limit does not suffice: %+v", st)
		}
	})
	// Many calls at a time send once.
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(func(context.Context, request) *Error { time.Sleep(time.Second); return nil })
		s := r.sender()
		s.Start()
		var calls sync.WaitGroup
		for range 20 {
			calls.Go(func() { s.SendIfDue(t.Context()) })
		}
		calls.Wait()
		r.stop(s)
		if n := r.count(); n != 1 {
			t.Errorf("got %d reports from 20 calls, want 1", n)
		}
	})
	// A state from the future does not last.
	inBubble(t, func(t *testing.T, r *rig) {
		r.state = schedule.State{Success: midnight.Add(3650 * day), Attempt: midnight.Add(3650 * day), Attempts: 1}.Marshal()
		for range 10 * 24 {
			r.sender().SendIfDue(t.Context())
			time.Sleep(time.Hour)
		}
		checkDaily(t, r.sent(), 2, 10)
	})
}

func TestSendNow(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		s := r.sender()
		for range 3 {
			if err := s.SendNow(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.count(); n != 3 {
			t.Errorf("got %d reports, want 3", n)
		}
		r.answers(always(Error{Text: "the collector answered 503 (service unavailable)", Status: 503}))
		err := s.SendNow(t.Context())
		if failed, ok := err.(*Error); !ok || failed.Status != 503 || s.Status().LastError != failed.Text {
			t.Errorf("got %v, status %+v", err, s.Status())
		}
		// While another call is under way, the caller's context still holds.
		r.answers(hang)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		go s.SendNow(ctx)
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := s.SendNow(short); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		r.stop(s) // ends it too
	})
}

// SendNow sends what cannot be saved, and says nothing of it but in the log.
func TestSendNowUnsaved(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.loadErr, r.saveErr = errDisk, errDisk
		if err := r.sender().SendNow(t.Context()); err != nil || r.count() != 1 {
			t.Errorf("got %v and %d reports, want one", err, r.count())
		}
		for _, want := range []string{"Sending state not read", "Sending state not saved"} {
			if !strings.Contains(r.logged.String(), want) {
				t.Errorf("logged %s, want %q", r.logged.String(), want)
			}
		}
	})
}

// Forget and Upload need no consent, which may just have been withdrawn, and
// end with Stop.
func TestForgetAndUpload(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.denied.Store(true)
		s := r.sender()
		if err := s.Forget(t.Context(), r.id); err != nil {
			t.Error(err)
		}
		if err := s.Upload(t.Context(), []byte("made elsewhere")); err != nil {
			t.Error(err)
		}
		want := []string{"DELETE /v1/installations/" + r.id, "/v1/heartbeat?exported=true"}
		for i, req := range r.requests {
			if req.path != want[i] {
				t.Errorf("request %d: got %s, want %s", i, req.path, want[i])
			}
		}
		if r.state != nil {
			t.Errorf("saved: %s", r.state)
		}
		r.answers(always(Error{Text: "refused", Status: 400, Refused: true}))
		if err := s.Upload(t.Context(), nil); err == nil || err.Error() != "refused" {
			t.Errorf("got %v, want it refused", err)
		}
		r.answers(hang)
		done := make(chan error, 1)
		go func() { done <- s.Forget(t.Context(), r.id) }()
		synctest.Wait()
		s.Withdraw()
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("ended by Withdraw: %v", err)
		default:
		}
		r.stop(s)
		if err := <-done; err == nil {
			t.Error("no error after Stop")
		}
	})
}

// A report that cannot be made counts as an attempt: there is no loop,
// whatever is wrong.
func TestReportFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		made := 0
		r.heartbeat = func(context.Context) ([]byte, error) {
			made++
			return nil, errors.New("no report")
		}
		s := r.sender()
		s.Start()
		time.Sleep(10 * day)
		if st := s.Status(); !strings.Contains(st.LastError, "no report") {
			t.Errorf("got status %+v", st)
		}
		r.stop(s)
		if made < 10 || made > 10*4 || r.count() > 0 {
			t.Errorf("made %d in 10 days, sent %d", made, r.count())
		}
	})
}

func ExampleError() {
	err := error(&Error{Text: "the collector answered 400 (bad request)", Status: 400, Refused: true})
	var failed *Error
	if errors.As(fmt.Errorf("send: %w", err), &failed) {
		fmt.Println(failed.Status, failed)
	}
	// Output: 400 the collector answered 400 (bad request)
}
