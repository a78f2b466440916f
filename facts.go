package rollcall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
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
	// or returns anything else is left out of the report; the preview and a
	// line at DEBUG say why, and [Config.CheckFacts] does in a test. Nil means
	// that there is no value at present. Different functions are called
	// concurrently, but none while an earlier call of it runs.
	Value func(ctx context.Context) (any, error)
}

// Environment returns the fact "environment". It tells a maintainer which
// installations somebody relies on. Value is "production",
// "staging", "development" or "test"; the host knows, or asks its settings.
func Environment(value string) Fact {
	return Fact{
		Declaration: report.EnumFact("environment", "Shows how many installations somebody relies on.", "production", "staging", "development", "test"),
		Value:       func(context.Context) (any, error) { return value, nil },
	}
}

// Declaration returns the facts that c declares. As JSON, they are the file with
// which a maintainer declares them to the collector, so that their names and
// values always have a place in its figures: see the help of rollcall collector
// app declare. It checks the facts and nothing else of c.
func (c Config) Declaration() (*report.Declaration, error) {
	f, err := newFacts(c.Facts)
	if err != nil {
		return nil, err
	}
	return f.declaration, nil
}

// factsTimeout bounds the calls of all functions for one report.
const factsTimeout = time.Second

// facts are the declared facts of a service.
type facts struct {
	declaration *report.Declaration
	sources     []*factSource
}

type factSource struct {
	declared report.Fact
	since    int
	value    func(context.Context) (any, error)
	running  chan struct{} // holds a token while the function runs

	logged atomic.Pointer[string] // why the value was last left out
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
			declared: fact.Declaration,
			since:    max(fact.Declaration.Since, 1),
			value:    fact.Value,
			running:  make(chan struct{}, 1),
		})
	}
	var err error
	if f.declaration, err = report.Declare(declared...); err != nil {
		return nil, &ConfigError{Field: "Facts", Err: err}
	}
	return f, nil
}

// leftOut says why a report lacks the values of facts, by their names.
type leftOut map[string]error

// until returns the values of the facts up to a version, which are those that
// the operator granted. It calls no other function.
func (f *facts) until(ctx context.Context, version int) (report.Facts, leftOut) {
	declaration, sources := f.declaration, f.sources
	if version < declaration.Version() {
		declaration = declaration.Until(version)
		sources = slices.DeleteFunc(slices.Clone(sources), func(s *factSource) bool { return s.since > version })
	}
	if len(sources) == 0 {
		return nil, nil
	}
	values, missing := collect(ctx, sources)
	return declaration.Encode(values), missing
}

// CheckFacts asks for all facts as for a report, and returns why a report would
// leave one out: one error for each, joined. It is for tests of the host; see
// package rollcalltest. Facts without a value at present are no error. It waits
// no longer than ctx and a second.
func (c Config) CheckFacts(ctx context.Context) error {
	f, err := newFacts(c.Facts)
	if err != nil {
		return err
	}
	_, missing := f.until(ctx, f.declaration.Version())
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		errs = append(errs, fmt.Errorf("fact %q: %w", name, missing[name]))
	}
	return errors.Join(errs...)
}

// log says once at DEBUG why a value is left out, and again when that changes.
func (f *facts) log(logger *slog.Logger, missing leftOut) {
	for _, source := range f.sources {
		reason := ""
		if err := missing[source.declared.Name]; err != nil {
			reason = err.Error()
		}
		if last := source.logged.Swap(&reason); reason != "" && (last == nil || *last != reason) {
			logger.Debug("Fact left out of the report", "fact", source.declared.Name, "reason", reason)
		}
	}
}

var errFactTimeout = errors.New("its function did not return in time")

// An answer is the value that a function returned, or why there is none.
type answer struct {
	source *factSource
	value  any
	err    error
}

// collect calls all functions. It returns the values that arrive in time, and
// why others are left out.
func collect(ctx context.Context, sources []*factSource) (map[string]any, leftOut) {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	answers := make(chan answer, len(sources))
	missing := make(leftOut)
	for _, source := range sources {
		missing[source.declared.Name] = errFactTimeout
		go source.ask(ctx, answers)
	}
	values := make(map[string]any, len(sources))
	for range sources {
		select {
		case a := <-answers:
			name := a.source.declared.Name
			if a.err == nil && a.value != nil {
				values[name] = a.value
				a.err = a.source.declared.Accept(a.value)
			}
			if missing[name] = a.err; a.err == nil {
				delete(missing, name)
			}
		case <-ctx.Done():
			return values, missing
		}
	}
	return values, missing
}

// ask calls the function, once an earlier call of it has returned, and answers
// even if the function panics or ends its goroutine.
func (s *factSource) ask(ctx context.Context, answers chan<- answer) {
	a := answer{source: s, err: errors.New("its function ended its goroutine")}
	defer func() {
		if p := recover(); p != nil {
			a.err = fmt.Errorf("its function panicked: %v", p)
		}
		answers <- a
	}()
	select {
	case s.running <- struct{}{}:
	case <-ctx.Done():
		a.err = errFactTimeout
		return
	}
	defer func() { <-s.running }()
	value, err := s.value(ctx)
	switch {
	case ctx.Err() != nil:
		err = errFactTimeout
	case err != nil:
		err = fmt.Errorf("its function failed: %w", err)
	default:
		a.value = value
	}
	a.err = err
}
