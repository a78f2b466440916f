package replica

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
)

// A target is the counter as this replica reaches it: in this process, or over a
// link to another one.
type target interface {
	// count counts a report. It returns errMoved if the counter went away before it
	// answered.
	count(ctx context.Context, r counter.Report) (counter.Outcome, error)
	// ask has the counter answer a question, with the same error.
	ask(ctx context.Context, q question) (answer, error)
	// forward answers a request of a client, unless it returns errMoved: then it has
	// written nothing.
	forward(w http.ResponseWriter, r *http.Request) error
}

// errMoved means that a replica no longer counts, or cannot be reached. It may have
// done what it was asked; the caller may ask the next one again.
var errMoved = errors.New("the counter is elsewhere")

// errNone means that no counter has answered in time.
var errNone = errors.Join(collector.ErrUnavailable, errors.New("no replica counts now"))

// pauseBeforeRetry is how long to wait for another target before the same one is
// asked again.
const pauseBeforeRetry = 50 * time.Millisecond

// A place holds the current target, if there is one.
type place struct {
	mu      sync.Mutex
	target  target
	changed chan struct{} // closed when target changes
}

func (p *place) now() target {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

func (p *place) set(t target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = t
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// clear removes a target, unless another one has replaced it.
func (p *place) clear(t target) {
	p.mu.Lock()
	same := p.target == t
	p.mu.Unlock()
	if same {
		p.set(nil)
	}
}

// next waits until there is a target, and one other than that which failed, or the
// same after a pause. It returns errNone if ctx ends before.
func (p *place) next(ctx context.Context, failed target) (target, error) {
	var pause <-chan time.Time
	if failed != nil {
		timer := time.NewTimer(pauseBeforeRetry)
		defer timer.Stop()
		pause = timer.C
	}
	for {
		p.mu.Lock()
		t := p.target
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		if t != nil && t != failed {
			return t, nil
		}
		select {
		case <-changed:
		case <-pause:
			failed = nil
		case <-ctx.Done():
			return nil, errNone
		}
	}
}

// try calls do with the current target, and with the next ones as long as do
// returns errMoved.
func (p *place) try(ctx context.Context, do func(target) error) error {
	var failed target
	for {
		t, err := p.next(ctx, failed)
		if err != nil {
			return err
		}
		if err = do(t); !errors.Is(err, errMoved) {
			return err
		}
		if failed = t; ctx.Err() != nil {
			return errNone
		}
	}
}
