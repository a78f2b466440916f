package rollcall

import (
	"context"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/report"
)

// factsTimeout bounds the time that all fact functions together have when a report is made.
const factsTimeout = time.Second

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
	name   string
	since  int
	value  func(context.Context) (any, error)
	flight flight.Flight
}

func newFacts(given []Fact) (*facts, error) {
	f := &facts{}
	declared := make([]report.Fact, 0, len(given))
	for i, fact := range given {
		if fact.Value == nil {
			return nil, fmt.Errorf("Facts[%d]: no Value function", i)
		}
		declared = append(declared, fact.Declaration)
		f.sources = append(f.sources, &factSource{
			name: fact.Declaration.Name, since: max(fact.Declaration.Since, 1), value: fact.Value,
		})
	}
	var err error
	if f.declaration, err = report.Declare(declared...); err != nil {
		return nil, fmt.Errorf("Facts: %w", err)
	}
	return f, nil
}

// until gives the facts of the versions up to one, those that the operator was asked about. It asks their functions, all
// at once, and takes the values that come in time.
func (f *facts) until(ctx context.Context, version int) report.Facts {
	declaration := f.declaration
	if version < declaration.Version() {
		declaration = declaration.Until(version)
	}
	return declaration.Encode(f.collect(ctx, version))
}

func (f *facts) collect(ctx context.Context, version int) map[string]any {
	if len(f.sources) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	type named struct {
		name  string
		value any
		err   error
	}
	results := make(chan named, len(f.sources))
	asked := 0
	for _, source := range f.sources {
		if source.since > version {
			continue
		}
		asked++
		go func() {
			value, err := flight.Do(ctx, &source.flight, "fact", source.value)
			results <- named{source.name, value, err}
		}()
	}
	values := make(map[string]any, asked)
	for range asked {
		if r := <-results; r.err == nil && r.value != nil {
			values[r.name] = r.value
		}
	}
	return values
}
