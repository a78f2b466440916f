package collector

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// Errors about apps.
var (
	// ErrAppExists says that there is an app of that key.
	ErrAppExists = errors.New("there is an app of that key")
	// ErrTooManyApps says that there are MaxApps apps.
	ErrTooManyApps = errors.New("there are too many apps")
)

func newFleet(app App, today Day) *fleet {
	return &fleet{
		// It goes on growing after a restart.
		revision: uint64(time.Now().UnixMicro()),
		app:      app, key: app.Key, num: app.Num, today: today, days: make(map[Day]*bits.Set),
		established: &bits.Set{}, clones: &bits.Set{},
		memory: make(map[Key]struct{}), excluded: make(map[Key]struct{}), touched: make(map[Num]struct{}),
		releases: make(map[string]releaseRecord),
		past:     past{reading: make(chan struct{}, 1)},
		faults:   faultSet{byID: make(map[string]*fault)},
	}
}

// AddApp adds an app. Its Num and Created are set here.
func (c *Collector) AddApp(ctx context.Context, app App) (App, error) {
	app.Num, app.Created = 0, 0
	if err := app.Validate(); err != nil {
		return App{}, err
	}
	var added App
	err := c.exec(ctx, func(ctx context.Context) error {
		if err := c.turn(ctx, time.Now()); err != nil {
			return err
		}
		a := app
		a.Created = c.day
		fleets := c.sorted()
		if len(fleets) >= MaxApps {
			return ErrTooManyApps
		}
		for _, f := range fleets {
			if f.key == a.Key {
				return fmt.Errorf("%w: %s", ErrAppExists, a.Key)
			}
			a.Num = max(a.Num, f.num)
		}
		a.Num++
		b := &Batch{Records: []Record{
			jsonRecord(RecordKey{Kind: kindApp, Name: a.Key}, a),
			jsonRecord(RecordKey{Kind: kindOpen, App: a.Num}, openDay{Today: c.day}),
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
func (f *fleet) withoutLegacy() Record {
	app := f.app
	app.Legacy = false
	return jsonRecord(RecordKey{Kind: kindApp, Name: app.Key}, app)
}

func (c *Collector) onlyLegacy(but *fleet) {
	for _, f := range c.sorted() {
		if f != but {
			f.mu.Lock()
			f.app.Legacy = false
			f.mu.Unlock()
		}
	}
}

// adopt makes a fleet known.
func (c *Collector) adopt(f *fleet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fleets[f.num] = f
	c.byKey[f.key] = f
}

// UpdateApp changes all of an app but Num, Key and Created. App.Key says which.
func (c *Collector) UpdateApp(ctx context.Context, app App) error {
	if err := app.Validate(); err != nil {
		return err
	}
	return c.exec(ctx, func(ctx context.Context) error {
		c.mu.RLock()
		f := c.byKey[app.Key]
		c.mu.RUnlock()
		if f == nil {
			return fmt.Errorf("%w: %s", ErrUnknownApp, app.Key)
		}
		a := app
		a.Num, a.Created = f.num, f.app.Created
		b := &Batch{Records: []Record{jsonRecord(RecordKey{Kind: kindApp, Name: a.Key}, a)}}
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
func (c *Collector) Apps() []App {
	var apps []App
	for _, f := range c.sorted() {
		f.mu.RLock()
		apps = append(apps, f.app)
		f.mu.RUnlock()
	}
	slices.SortFunc(apps, func(a, b App) int { return cmp.Compare(a.Key, b.Key) })
	return apps
}

// App finds an app by its key.
func (c *Collector) App(key string) (App, bool) {
	c.mu.RLock()
	f := c.byKey[key]
	c.mu.RUnlock()
	if f == nil {
		return App{}, false
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.app, true
}

// Limits of settings.
const (
	// MaxSettingName bounds the name of a setting, which is not empty and does not begin with a dot.
	MaxSettingName = 200
	// MaxSettingBytes bounds its data.
	MaxSettingBytes = 1 << 20
)

// Setting reads a setting that PutSetting stored: what belongs to the collector's server and pages, such as tokens and
// alerts. App is 0 for settings of the whole collector.
func (c *Collector) Setting(ctx context.Context, app AppNum, name string) (data []byte, ok bool, err error) {
	return c.store.Record(ctx, RecordKey{Kind: kindSetting, App: app, Name: name})
}

// PutSetting stores a setting, durably; nil deletes it.
func (c *Collector) PutSetting(ctx context.Context, app AppNum, name string, data []byte) error {
	switch {
	case name == "" || len(name) > MaxSettingName || strings.HasPrefix(name, "."):
		return fmt.Errorf("name %q of the setting is not 1 to %d bytes, the first not a dot", name, MaxSettingName)
	case len(data) > MaxSettingBytes:
		return fmt.Errorf("setting %s has %d bytes, and not at most %d", name, len(data), MaxSettingBytes)
	}
	return c.exec(ctx, func(ctx context.Context) error {
		return c.commit(ctx, &Batch{Records: []Record{{RecordKey{Kind: kindSetting, App: app, Name: name}, data}}})
	})
}

// decodeRecord reads JSON that jsonRecord made.
func decodeRecord(r Record, into any) error {
	if err := json.Unmarshal(r.Data, into); err != nil {
		return fmt.Errorf("record %s/%d/%s/%q is broken: %w", r.Kind, r.App, r.Day, r.Name, err)
	}
	return nil
}
