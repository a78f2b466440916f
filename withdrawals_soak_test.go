package rollcall_test

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/report"
)

// A staleHost is a host that saves, again and again, settings that it held in
// memory at some earlier time.
type staleHost struct {
	s     *site
	mu    sync.Mutex
	known []string // versions of the config, the newest last
}

// remember keeps the config as it is now.
func (h *staleHost) remember() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = append(h.known, h.s.read(h.s.config))
	h.known = h.known[max(0, len(h.known)-20):]
}

// save writes one of the versions, as hosts do: whole, by a rename.
func (h *staleHost) save() error {
	h.mu.Lock()
	text := h.known[rand.N(len(h.known))]
	h.mu.Unlock()
	temp := h.s.config + ".new"
	if err := os.WriteFile(temp, []byte(text), 0o644); err != nil {
		return err
	}
	err := os.Rename(temp, h.s.config)
	for fsys.IsInUse(err) { // on Windows, while an agent reads it
		time.Sleep(time.Millisecond)
		err = os.Rename(temp, h.s.config)
	}
	return err
}

// run saves until stop is closed.
func (h *staleHost) run(stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		case <-h.s.t.Context().Done():
			return nil
		case <-time.After(rand.N(2 * time.Millisecond)):
		}
		if err := h.save(); err != nil {
			return err
		}
	}
}

// A judge looks at every report that arrives. It never blocks the collector.
type judge struct {
	denied    atomic.Bool // the operator said no, and the order has returned
	mu        sync.Mutex
	retired   []string
	violation []string
	hold      atomic.Bool // reports are kept waiting until they are canceled
	held      chan struct{}
}

func (j *judge) answer(_ http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodDelete {
		return false
	}
	if j.hold.Load() {
		j.held <- struct{}{}
		<-r.Context().Done()
		return true
	}
	if j.denied.Load() {
		j.mu.Lock()
		j.violation = append(j.violation, "a report after the no: "+r.URL.Path)
		j.mu.Unlock()
	}
	return false
}

// check judges the heartbeats since the last check.
func (j *judge) check(t *testing.T, round int, heartbeats []report.Heartbeat) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, h := range heartbeats {
		if slices.Contains(j.retired, h.InstallationID) {
			j.violation = append(j.violation, "a retired ID on the wire: "+h.InstallationID)
		}
	}
	if len(j.violation) > 0 {
		t.Fatalf("round %d: %s", round, strings.Join(j.violation, "; "))
	}
}

// TestSoakStaleConfig is D21 for 1,000 rounds with ROLLCALL_SOAK, and for fewer
// without: a host that saves stale settings all the time, against disable,
// enable, reset and forget, with two agents. No report leaves after the no, and
// no retired ID is ever on the wire.
func TestSoakStaleConfig(t *testing.T) {
	rounds := 40
	if os.Getenv("ROLLCALL_SOAK") != "" {
		rounds = 1000
	}
	s := newSite(t, granted)
	j := &judge{held: make(chan struct{}, 10)}
	s.collector.Answer(j.answer)
	agents := []*rollcall.Service{s.start(), s.start()}
	id := agents[0].ID().String()
	if agents[1].ID().String() != id {
		t.Fatal("the agents disagree from the beginning")
	}
	host := &staleHost{s: s}
	host.remember()
	judged, sent := 0, map[string]int{}

	sendAll := func(round int) (accepted int) {
		for _, service := range append(slices.Clone(agents), s.start()) {
			switch err := service.SendNow(t.Context()); {
			case err == nil:
				accepted++
			case !errors.Is(err, rollcall.ErrWithheld):
				t.Fatalf("round %d: %v", round, err)
			}
			if !slices.Contains(agents, service) {
				s.stop(service)
			}
		}
		heartbeats := s.collector.Heartbeats()
		j.check(t, round, heartbeats[judged:])
		judged = len(heartbeats)
		return accepted
	}

	for round := range rounds {
		stop := make(chan struct{})
		saving := make(chan error, 1)
		go func() { saving <- host.run(stop) }()

		verb := []string{"disable", "enable", "reset", "forget"}[rand.N(4)]
		says := map[string]bool{"disable": true, "forget": true, "reset": j.denied.Load()}[verb]
		if verb == "enable" {
			j.denied.Store(false)
		}
		// Sometimes a report is in flight when the operator says no.
		inFlight := make(chan error, 1)
		if round%5 == 0 && says && !j.denied.Load() {
			j.hold.Store(true)
			go func() { inFlight <- agents[rand.N(2)].SendNow(t.Context()) }()
			select {
			case <-j.held:
			case err := <-inFlight: // withheld: a stale config says no
				inFlight <- err
			case <-time.After(someTime):
				t.Fatalf("round %d: no report", round)
			}
			j.hold.Store(false)
		} else {
			inFlight <- nil
		}
		err := s.byVerb(verb)
		for tries := 0; err != nil && tries < 20; tries++ { // the host kept the config busy
			if verb == "forget" {
				verb = "reset" // a deletion that could not store the next ID is done, and no ID is left to forget
			}
			err = s.byVerb(verb)
		}
		if err != nil {
			t.Fatalf("round %d: %s: %v", round, verb, err)
		}
		within(t, someTime, "the end of the report in flight", drained(inFlight))
		j.denied.Store(says)
		if verb == "reset" || verb == "forget" {
			stored, err := (rollcall.Config{ConfigPath: s.config}).Stored(t.Context())
			if err != nil || stored.ID.IsZero() || stored.ID.String() == id {
				t.Fatalf("round %d: %s: got ID %v, %v", round, verb, stored.ID, err)
			}
			j.mu.Lock()
			j.retired = append(j.retired, id)
			j.mu.Unlock()
			id = stored.ID.String()
		}
		sendAll(round)
		close(stop)
		if err := <-saving; err != nil {
			t.Fatal(err)
		}
		sendAll(round)
		if err := host.save(); err != nil { // once more, and then everybody starts anew
			t.Fatal(err)
		}
		if round%7 == 0 {
			n := rand.N(2)
			s.stop(agents[n])
			agents[n] = s.start()
		}
		sendAll(round)

		// The operator grants, and the host reads its settings. Reports arrive again.
		if rand.N(3) > 0 {
			continue
		}
		j.denied.Store(false)
		s.mustVerb("enable")
		host.remember()
		if n := sendAll(round); n == 0 {
			t.Fatalf("round %d: nobody sends after a grant", round)
		}
		sent[verb]++
	}
	t.Logf("%d rounds, %d heartbeats, %d retired IDs, grants after %v", rounds, judged, len(j.retired), sent)
}

// drained returns a channel that is closed after one value of the other.
func drained(c <-chan error) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		<-c
		close(done)
	}()
	return done
}
