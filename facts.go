package rollcall

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

// A Fact is one value of a heartbeat: its declaration, and the function that
// returns the value. Nothing can be reported that was not declared, and no
// free text.
type Fact struct {
	// Declaration is the fact's name, type, bounds and reason; create it with
	// report.BoolFact, report.EnumFact or report.BucketFact.
	Declaration report.Fact
	// Value returns the value at the time of a report: a bool, a string that
	// is one of the declared values, or an integer to put into a bucket. All
	// functions together have one second. One that takes longer, panics, fails
	// or returns anything else is left out of the report. Different functions
	// are called concurrently, but none while an earlier call of it runs.
	Value func(ctx context.Context) (any, error)
}

// factsTimeout bounds the calls of all functions for one report.
const factsTimeout = time.Second

// facts are the declared facts of a service.
type facts struct {
	declaration *report.Declaration
	sources     []*factSource
}

type factSource struct {
	name    string
	since   int
	value   func(context.Context) (any, error)
	running chan struct{} // holds a token while the function runs
}

func newFacts(given []Fact) (*facts, error) {
	f := &facts{}
	declared := make([]report.Fact, len(given))
	for i, fact := range given {
		if fact.Value == nil {
			return nil, invalid(fmt.Sprintf("Facts[%d]", i), "no Value function")
		}
		declared[i] = fact.Declaration
		f.sources = append(f.sources, &factSource{
			name:    fact.Declaration.Name,
			since:   max(fact.Declaration.Since, 1),
			value:   fact.Value,
			running: make(chan struct{}, 1),
		})
	}
	var err error
	if f.declaration, err = report.Declare(declared...); err != nil {
		return nil, &ConfigError{Field: "Facts", Err: err}
	}
	return f, nil
}

// until returns the values of the facts up to a version, which are those that
// the operator granted. It calls no other function.
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

// An answer is the value that a function returned; nil for none.
type answer struct {
	name  string
	value any
}

// collect calls all functions and returns the values that arrive in time.
func collect(ctx context.Context, sources []*factSource) map[string]any {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	answers := make(chan answer, len(sources))
	for _, source := range sources {
		go source.ask(ctx, answers)
	}
	values := make(map[string]any, len(sources))
	for range sources {
		select {
		case a := <-answers:
			if a.value != nil {
				values[a.name] = a.value
			}
		case <-ctx.Done():
			return values
		}
	}
	return values
}

// ask calls the function, once an earlier call of it has returned, and answers
// even if the function panics or ends its goroutine.
func (s *factSource) ask(ctx context.Context, answers chan<- answer) {
	a := answer{name: s.name}
	defer func() {
		_ = recover()
		answers <- a
	}()
	select {
	case s.running <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-s.running }()
	if value, err := s.value(ctx); err == nil && ctx.Err() == nil {
		a.value = value
	}
}
