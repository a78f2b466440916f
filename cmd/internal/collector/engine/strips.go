package engine

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// A strip is one chunk of the members of a segment on consecutive days. Numbers in
// it are those of the chunk. Questions about many days are answered strip by strip,
// because a strip stays in the cache of a processor, and several of them can be
// worked on at a time.
type strip struct {
	chunk   uint32
	from    collector.Day
	days    []bits.Words // the members active on each day
	members bits.Words
	extra   []bits.Words // those of stripPlan.extra
	firsts  []collector.Day
	bounds  []uint32 // firsts[i] are the first days of the numbers from bounds[i] to bounds[i+1]
}

// A stripPlan says what strips consist of.
type stripPlan struct {
	members *bits.Set
	past    *past
	days    collector.Range // known ones, up to today
	extra   []*bits.Set     // further sets that are needed
}

// errDayBegan means that a day began while a question was answered, so that it has
// to be asked again.
var errDayBegan = errors.New("a day began")

// askAgain asks until no day begins meanwhile.
func askAgain[T any](ask func() (T, error)) (T, error) {
	for {
		answer, err := ask()
		if !errors.Is(err, errDayBegan) {
			return answer, err
		}
	}
}

// strips calls add with each strip that has members. Several goroutines do so at a
// time, each with a sum of its own that fresh returned; strips returns the sums.
// Each installation counts as of one moment, but a commit may come between two
// strips.
func strips[A any](ctx context.Context, f *fleet, plan stripPlan, fresh func() *A, add func(*A, *strip)) ([]*A, error) {
	chunks := plan.members.Chunks()
	workers := max(1, min(runtime.GOMAXPROCS(0), len(chunks)))
	sums, errs, panics := make([]*A, workers), make([]error, workers), make([]any, workers)
	known := max(0, plan.days.To-plan.days.From+1) // the past may reach only to a day that is to come
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		sums[w] = fresh()
		wg.Go(func() {
			// Nobody else would recover here, and one question must not end the process.
			defer func() { panics[w] = recover() }()
			s := strip{from: plan.days.From, days: make([]bits.Words, known), extra: make([]bits.Words, len(plan.extra))}
			for i := int(next.Add(1)) - 1; i < len(chunks) && errs[w] == nil; i = int(next.Add(1)) - 1 {
				if errs[w] = errors.Join(ctx.Err(), f.readStrip(&plan, chunks[i], &s)); errs[w] == nil {
					add(sums[w], &s)
				}
			}
		})
	}
	wg.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// readStrip sets s to a chunk.
func (f *fleet) readStrip(plan *stripPlan, chunk uint32, s *strip) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.today != plan.past.today {
		return errDayBegan
	}
	s.chunk = chunk
	plan.members.ReadWords(chunk, &s.members)
	for i := range s.days {
		day, words := s.from+collector.Day(i), &s.days[i]
		if day < f.today-longestWindow {
			plan.past.days[day].ReadWords(chunk, words)
		} else {
			f.days[day].ReadWords(chunk, words)
		}
		if day == f.today {
			f.days[heldDay].OrWords(chunk, words)
		}
		words.And(&s.members)
	}
	for i, set := range plan.extra {
		set.ReadWords(chunk, &s.extra[i])
		s.extra[i].And(&s.members)
	}
	s.firsts, s.bounds = s.firsts[:0], s.bounds[:0]
	base := chunk << bits.ChunkBits
	for i := f.firstIn(base); i < len(f.first) && uint32(f.first[i].Num)>>bits.ChunkBits <= chunk; i++ {
		s.firsts = append(s.firsts, f.first[i].Day)
		s.bounds = append(s.bounds, max(base, uint32(f.first[i].Num))-base)
	}
	s.bounds = append(s.bounds, 1<<bits.ChunkBits)
	return nil
}

// cohorts yields the periods of first sight, each with its numbers n as [lo, hi].
func (s *strip) cohorts(g collector.Grain) iter.Seq2[collector.Day, [2]uint32] {
	return func(yield func(collector.Day, [2]uint32) bool) {
		for i := 0; i < len(s.firsts); {
			start, lo := g.Start(s.firsts[i]), s.bounds[i]
			for i++; i < len(s.firsts) && g.Start(s.firsts[i]) == start; i++ {
			}
			if !yield(start, [2]uint32{lo, s.bounds[i]}) {
				return
			}
		}
	}
}

// union sets w to the members active on any of the days.
func (s *strip) union(r collector.Range, w *bits.Words) {
	clear(w[:])
	for day := max(r.From, s.from); day <= r.To && int(day-s.from) < len(s.days); day++ {
		w.Or(&s.days[day-s.from])
	}
}

// A slider makes the unions of the windows of a length that end with each day in
// turn, with two passes a day however long the window is: a window consists of
// the end of one block of days and the beginning of the next.
type slider struct {
	size int
	// suffix[i] are the last days of the block before, from its i-th day on, and
	// prefix those of this block so far.
	suffix []bits.Words
	prefix bits.Words
}

func newSlider(size int) *slider { return &slider{size: size, suffix: make([]bits.Words, size+1)} }

// next begins with the i-th of days, and has to be called for each i in turn. The
// window that ends with it is the union of prefix, to which the caller adds the
// day, and what next returns.
func (s *slider) next(days []bits.Words, i int) (suffix *bits.Words) {
	o := i % s.size
	if o == 0 {
		if i > 0 {
			s.suffix[s.size-1] = days[i-1]
			for k := s.size - 2; k > 0; k-- {
				s.suffix[k] = s.suffix[k+1]
				s.suffix[k].Or(&days[i-s.size+k])
			}
		}
		s.prefix = bits.Words{}
	}
	if i < s.size {
		o = s.size - 1 // suffix[size] is empty
	}
	return &s.suffix[o+1]
}

// skip passes over the i-th of days.
func (s *slider) skip(days []bits.Words, i int) {
	s.next(days, i)
	s.prefix.Or(&days[i])
}

// slide sets w to the union of the window that ends with the i-th of days. It has
// to be called for each i in turn.
func (s *slider) slide(days []bits.Words, i int, w *bits.Words) {
	suffix := s.next(days, i)
	s.prefix.Or(&days[i])
	*w = s.prefix
	w.Or(suffix)
}
