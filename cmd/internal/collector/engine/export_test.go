package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// The shape of the fleet that Fill makes. Each installation reports on four of
// five days, and has one value of each dimension. Each fault is reported by one
// of 20,000 installations a day.
const (
	FillDays       = 400
	fillDimensions = 16
	fillValues     = 10
	fillFaults     = 20
	fillHistory    = 49
)

// Fill makes an app's fleet one of n installations that came over FillDays,
// without reports and rows: bits and values are in memory, and the figures of
// closed days in the store. It is for benchmarks of answers.
func (e *Engine) Fill(ctx context.Context, app collector.AppNum, n int) error {
	f, err := e.fleet(app)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	f.mu.Lock()
	defer f.mu.Unlock()
	began := f.today - FillDays
	f.app.Created = began
	for day := range collector.Day(FillDays + 1) {
		f.first = append(f.first, firstNum{began + day, collector.Num(int64(n) * int64(day) / (FillDays + 1))})
	}
	f.next = collector.Num(n)
	f.warm, f.touched = true, nil
	f.established.AddRange(0, uint32(f.first[FillDays-1].Num))
	f.established.Clean()
	for day := f.today - longestWindow; day <= f.today; day++ {
		set := daySet(f.days, day)
		for num := range uint32(f.numAt(day + 1)) {
			if random.IntN(5) < 4 {
				set.Add(num)
			}
		}
		set.Clean()
		for i := range fillFaults {
			fault := f.faults.get(fmt.Sprintf("%016x", i))
			fault.FirstSeen, fault.LastSeen, fault.OldestVersion = began, f.today, "1.0"
			for range n / 20_000 {
				daySet(fault.days, day).Add(uint32(random.IntN(n)))
			}
			daySet(fault.days, day).Clean()
			fault.counts[day] = occurrences{"": uint64(n / 20_000)}
		}
	}
	f.fillHistory()
	for i := range fillDimensions {
		name := collector.FactDimension + strconv.Itoa(i)
		if i < 4 {
			name = []string{collector.DimVersion, collector.DimFirstVersion, collector.DimSystem, collector.DimMachine}[i]
		}
		f.dims.put(fillDimension(random, name, uint32(i), uint32(n)))
	}
	for v := range fillValues {
		f.releases[fmt.Sprintf("1.%d", v)] = releaseRecord{FirstSeen: began + collector.Day(v*FillDays/fillValues)}
	}
	return e.fillRecords(ctx, f, began)
}

// fillHistory repeats the days in memory as older ones, as far back as the history
// of a large fleet reaches.
func (f *fleet) fillHistory() {
	h := &f.history
	h.days, h.oldest, h.today, h.read, h.full = make(map[collector.Day]*bits.Set), f.today-longestWindow, f.today, true, true
	for range fillHistory {
		h.oldest--
		h.days[h.oldest] = f.days[f.today-1-(f.today-h.oldest)%28]
	}
}

func fillDimension(random *rand.Rand, name string, number, n uint32) *dimension {
	d := newDimension(name, number)
	for v := range uint32(fillValues) {
		d.put(&value{number: v, text: fmt.Sprintf("1.%d", v), set: &bits.Set{}})
	}
	for i := range n {
		d.values.at(uint32(random.IntN(fillValues))).set.Add(i)
	}
	for _, v := range d.byText {
		v.set.Clean()
	}
	return d
}

// state returns the state that labels describe, and number the numbers of a
// label. Values without a place are admitted.
func (f *fleet) state(labels []label) state { return newFleetTx(f).state(labels, introducer{}) }

func (f *fleet) number(l label) (pair, bool) { return newFleetTx(f).number(l, introducer{}, nil) }

// fillRecords writes today's figures for each closed day, with full cohorts.
func (e *Engine) fillRecords(ctx context.Context, f *fleet, began collector.Day) error {
	total := f.total()
	total.Counters.Moves = make(map[string]uint64)
	for i := range fillValues {
		for j := range fillValues {
			total.Counters.Moves[fmt.Sprintf("1.%d\x001.%d", i, j)] = uint64(1000 + i + j)
		}
	}
	splits := f.splitRecords(f.today)
	for day := began; day < f.today; day++ {
		b := &collector.Batch{Records: []collector.Record{f.record(kindTotal, day, "", total)}}
		for _, r := range splits {
			r.Day = day
			b.Records = append(b.Records, r)
		}
		b.Records = append(b.Records, f.periodRecords(day, false)...)
		for e.exec(ctx, func(ctx context.Context) error { return e.commit(ctx, b) }) != nil { // a busy machine has slow disks
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// Closing makes everything that is written when a day is over, and writes
// nothing.
func (e *Engine) Closing(app collector.AppNum) error {
	f, err := e.fleet(app)
	if err != nil {
		return err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	f.closing(f.nextDay(f.today + 1))
	return nil
}

// Cold clears all caches, as a restart does.
func (e *Engine) Cold(app collector.AppNum) {
	e.closed.mu.Lock()
	e.closed.runs, e.closed.bytes = nil, 0
	e.closed.mu.Unlock()
	if f, err := e.fleet(app); err == nil {
		f.spans.clear()
		f.history.clear()
	}
}
