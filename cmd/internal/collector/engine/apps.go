package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

func newFleet(app collector.App, today collector.Day) *fleet {
	return &fleet{
		// It goes on growing after a restart.
		revision: uint64(time.Now().UnixMicro()),
		app:      app, key: app.Key, num: app.Num, today: today, days: make(map[collector.Day]*bits.Set),
		established: &bits.Set{}, clones: &bits.Set{},
		memory: make(map[collector.Key]struct{}), excluded: make(map[collector.Key]struct{}), touched: make(map[collector.Num]struct{}),
		releases: make(map[string]releaseRecord),
		past:     past{reading: make(chan struct{}, 1)},
		faults:   faultSet{byID: make(map[string]*fault)},
	}
}

// AddApp adds an app. Its Num and Created are set here.
func (c *Engine) AddApp(ctx context.Context, app collector.App) (collector.App, error) {
	app.Num, app.Created = 0, 0
	if err := app.Validate(); err != nil {
		return collector.App{}, err
	}
	var added collector.App
	err := c.exec(ctx, func(ctx context.Context) error {
		if err := c.turn(ctx, time.Now()); err != nil {
			return err
		}
		a := app
		a.Created = c.day
		fleets := c.sorted()
		if len(fleets) >= collector.MaxApps {
			return collector.ErrTooManyApps
		}
		for _, f := range fleets {
			if f.key == a.Key {
				return fmt.Errorf("%w: %s", collector.ErrAppExists, a.Key)
			}
			a.Num = max(a.Num, f.num)
		}
		a.Num++
		b := &collector.Batch{Records: []collector.Record{
			jsonRecord(collector.RecordKey{Kind: kindApp, Name: a.Key}, a),
			jsonRecord(collector.RecordKey{Kind: kindOpen, App: a.Num}, openDay{Today: c.day}),
		}}
		for _, f := range fleets {
			if a.Legacy && f.app.Legacy {
				b.Records = append(b.Records, f.withoutLegacy())
			}
		}
		if err := c.commit(ctx, b); err != nil {
			return err
		}
		f := newFleet(a, c.day)
		f.warm, f.touched = true, nil
		c.adopt(f)
		if a.Legacy {
			c.onlyLegacy(f)
		}
		added = a
		return nil
	})
	return added, err
}

// withoutLegacy gives the record of the app when another one gets the reports that name no app.
func (f *fleet) withoutLegacy() collector.Record {
	app := f.app
	app.Legacy = false
	return jsonRecord(collector.RecordKey{Kind: kindApp, Name: app.Key}, app)
}

func (c *Engine) onlyLegacy(but *fleet) {
	for _, f := range c.sorted() {
		if f != but {
			f.mu.Lock()
			f.app.Legacy = false
			f.mu.Unlock()
		}
	}
}

// adopt makes a fleet known.
func (c *Engine) adopt(f *fleet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fleets[f.num] = f
	c.byKey[f.key] = f
}

// UpdateApp changes all of an app but Num, Key and Created. App.Key says which.
func (c *Engine) UpdateApp(ctx context.Context, app collector.App) error {
	if err := app.Validate(); err != nil {
		return err
	}
	return c.exec(ctx, func(ctx context.Context) error {
		c.mu.RLock()
		f := c.byKey[app.Key]
		c.mu.RUnlock()
		if f == nil {
			return fmt.Errorf("%w: %s", collector.ErrUnknownApp, app.Key)
		}
		a := app
		a.Num, a.Created = f.num, f.app.Created
		b := &collector.Batch{Records: []collector.Record{jsonRecord(collector.RecordKey{Kind: kindApp, Name: a.Key}, a)}}
		for _, other := range c.sorted() {
			if a.Legacy && other != f && other.app.Legacy {
				b.Records = append(b.Records, other.withoutLegacy())
			}
		}
		if err := c.commit(ctx, b); err != nil {
			return err
		}
		f.mu.Lock()
		f.app = a
		f.revision++
		f.mu.Unlock()
		if a.Legacy {
			c.onlyLegacy(f)
		}
		return nil
	})
}

// Apps gives all apps in the order of their keys.
func (c *Engine) Apps() []collector.App {
	var apps []collector.App
	for _, f := range c.sorted() {
		f.mu.RLock()
		apps = append(apps, f.app)
		f.mu.RUnlock()
	}
	slices.SortFunc(apps, func(a, b collector.App) int { return cmp.Compare(a.Key, b.Key) })
	return apps
}

// App finds an app by its key.
func (c *Engine) App(key string) (collector.App, bool) {
	c.mu.RLock()
	f := c.byKey[key]
	c.mu.RUnlock()
	if f == nil {
		return collector.App{}, false
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.app, true
}
