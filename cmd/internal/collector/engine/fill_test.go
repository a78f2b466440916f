package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// The shape of the fleet that Fill makes: each installation reports on four of five days, and has one of so many values of
// each dimension.
const (
	FillDays       = 400
	fillDimensions = 16
	fillValues     = 10
)

// Fill makes an app's fleet one of n installations that came over FillDays, without reports and rows: the bits of the last
// days and the values are in memory, and the figures of the closed days in the store. It is for measuring answers.
func (c *Engine) Fill(ctx context.Context, app collector.AppNum, n int) error {
	f, err := c.fleet(app)
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
		f.days[day] = someOf(random, 0, uint32(f.numAt(day+1)), 4)
	}
	for i := range fillDimensions {
		name := collector.FactDimension + strconv.Itoa(i)
		if i < 4 {
			name = []string{collector.DimVersion, collector.DimFirstVersion, collector.DimSystem, collector.DimMachine}[i]
		}
		f.dims.put(i, filled(random, name, uint32(n)))
	}
	for v := range fillValues {
		f.releases[fmt.Sprintf("1.%d", v)] = releaseRecord{FirstSeen: began + collector.Day(v*FillDays/fillValues)}
	}
	return c.fillRecords(ctx, f, began)
}

// someOf gives a set of fifths of the numbers from lo up to and without hi.
func someOf(random *rand.Rand, lo, hi uint32, fifths int) *bits.Set {
	set := &bits.Set{}
	for n := lo; n < hi; n++ {
		if random.IntN(5) < fifths {
			set.Add(n)
		}
	}
	set.Clean()
	return set
}

func filled(random *rand.Rand, name string, n uint32) *dimension {
	d := newDimension(name)
	for v := range fillValues {
		d.put(v, fmt.Sprintf("1.%d", v))
	}
	for i := range n {
		d.sets[random.IntN(fillValues)].Add(i)
	}
	for _, set := range d.sets {
		set.Clean()
	}
	return d
}

// fillRecords writes the figures of the closed days: those of today again and again, by cohorts that are full.
func (c *Engine) fillRecords(ctx context.Context, f *fleet, began collector.Day) error {
	total := f.total(f.today)
	total.Counters.Moves = make(map[string]uint64)
	for i := range fillValues {
		for j := range fillValues {
			total.Counters.Moves[fmt.Sprintf("1.%d\x001.%d", i, j)] = uint64(1000 + i + j)
		}
	}
	splits := f.splitRecords(f.today)
	for day := began; day < f.today; day++ {
		b := &collector.Batch{Records: []collector.Record{jsonRecord(collector.RecordKey{Kind: kindTotal, App: f.num, Day: day}, total)}}
		for _, r := range splits {
			r.Day = day
			b.Records = append(b.Records, r)
		}
		b.Records = append(b.Records, f.periodRecords(day, false)...)
		for c.exec(ctx, func(ctx context.Context) error { return c.commit(ctx, b) }) != nil { // a busy machine has slow disks
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// Closing makes all that is written when the day is over, and writes nothing.
func (c *Engine) Closing(app collector.AppNum) error {
	f, err := c.fleet(app)
	if err != nil {
		return err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	f.closing(false)
	return nil
}

// Cold drops all that is kept in memory for answers, as it is after a start.
func (c *Engine) Cold(app collector.AppNum) {
	c.shelf.mu.Lock()
	c.shelf.runs, c.shelf.bytes = nil, 0
	c.shelf.mu.Unlock()
	if f, err := c.fleet(app); err == nil {
		f.past.forget()
		f.past.drop()
	}
}
