package rollcall

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

const (
	// factsTimeout bounds the time that all fact functions together have when a report is made.
	factsTimeout = time.Second
	// factPatience is how long a function may take before the others are asked beside it.
	factPatience = 5 * time.Millisecond
)

// A Fact is one value of a heartbeat: its declaration, and the function that gives the value. There is no way to report
// anything that was not declared, and none to report free text.
type Fact struct {
	// Declaration says the fact's name, type, bounds and reason; make it with report.BoolFact, report.EnumFact or
	// report.BucketFact.
	Declaration report.Fact
	// Value gives the value at the time of a report: a bool, a string that is one of the declared values, or an int or
	// int64 to be put into a bucket. All fact functions together have a second; one that blocks longer, panics, fails or
	// gives anything else is left out of the report. A function is never called while an earlier call of it still runs.
	Value func(ctx context.Context) (any, error)
}

// facts are the declared facts of a service.
type facts struct {
	declaration *report.Declaration
	sources     []*factSource
}

type factSource struct {
	name  string
	since int
	value func(context.Context) (any, error)
	turn  chan struct{} // holds a token while the function is called
}

func newFacts(given []Fact) (*facts, error) {
	f := &facts{}
	declared := make([]report.Fact, 0, len(given))
	for i, fact := range given {
		if fact.Value == nil {
			return nil, invalid(fmt.Sprintf("Facts[%d]", i), "no Value function")
		}
		declared = append(declared, fact.Declaration)
		f.sources = append(f.sources, &factSource{
			name: fact.Declaration.Name, since: max(fact.Declaration.Since, 1), value: fact.Value, turn: make(chan struct{}, 1),
		})
	}
	var err error
	if f.declaration, err = report.Declare(declared...); err != nil {
		return nil, &ConfigError{Field: "Facts", Err: err}
	}
	return f, nil
}

// until gives the facts of the versions up to one, those that the operator was asked about. It asks their functions, and
// takes the values that come in time.
func (f *facts) until(ctx context.Context, version int) report.Facts {
	declaration, sources := f.declaration, f.sources
	if version < declaration.Version() {
		declaration = declaration.Until(version)
		sources = slices.DeleteFunc(slices.Clone(sources), func(s *factSource) bool { return s.since > version })
	}
	if len(sources) == 0 {
		return nil
	}
	return declaration.Encode(collect(ctx, sources))
}

// A round asks functions for their values, each once.
type round struct {
	sources []*factSource
	next    atomic.Int32 // the one to be asked next
	answers chan answer  // has room for all
}

// An answer is the value that a function gave, nil for none.
type answer struct {
	name  string
	value any
}

// collect gives the values that come in time. Functions are expected to return at once, so that one goroutine asks them
// one after the other; whenever some of them take their time, as many more goroutines go on with the rest.
func collect(ctx context.Context, sources []*factSource) map[string]any {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	r := &round{sources: sources, answers: make(chan answer, len(sources))}
	impatience := time.NewTicker(factPatience)
	defer impatience.Stop()
	asking := 1
	go r.ask(ctx)
	values := make(map[string]any, len(sources))
	for range sources {
		var a answer
		for waiting := true; waiting; {
			select {
			case a = <-r.answers:
				waiting = false
			case <-impatience.C:
				more := min(asking, len(sources)-asking)
				for range more {
					go r.ask(ctx)
				}
				asking += more
			case <-ctx.Done():
				return values
			}
		}
		if a.value != nil {
			values[a.name] = a.value
		}
	}
	return values
}

// ask asks functions until all have been asked.
func (r *round) ask(ctx context.Context) {
	for {
		i := int(r.next.Add(1)) - 1
		if i >= len(r.sources) {
			return
		}
		r.askOne(ctx, r.sources[i])
	}
}

// askOne asks one function, which may panic, or end its goroutine.
func (r *round) askOne(ctx context.Context, source *factSource) {
	a := answer{name: source.name}
	defer func() {
		_ = recover()
		r.answers <- a
	}()
	select {
	case source.turn <- struct{}{}:
	case <-ctx.Done():
		return // an earlier call of it still runs
	}
	defer func() { <-source.turn }()
	if value, err := source.value(ctx); err == nil && ctx.Err() == nil {
		a.value = value
	}
}
