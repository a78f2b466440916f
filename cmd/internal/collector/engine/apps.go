package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// AddApp adds an app. It sets Num and Created.
func (e *Engine) AddApp(ctx context.Context, app collector.App) (collector.App, error) {
	app.Num, app.Created = 0, 0
	if err := app.Validate(); err != nil {
		return collector.App{}, err
	}
	var added collector.App
	err := e.exec(ctx, func(ctx context.Context) error {
		if err := e.rollover(ctx); err != nil {
			return err
		}
		a := app
		a.Created = e.day
		fleets := e.sorted()
		if len(fleets) >= collector.MaxApps {
			return collector.ErrTooManyApps
		}
		for _, f := range fleets {
			if f.key == a.Key {
				return fmt.Errorf("%w: %s", collector.ErrAppExists, a.Key)
			}
			a.Num = max(a.Num, f.num)
		}
		a.Num = max(a.Num, e.generations.Last) + 1
		f := newWarmFleet(a, e.day)
		records := []collector.Record{f.openRecord()}
		if e.held != nil {
			f.aside = newAside(0)
			records = append(records, f.asideRecords(f.aside)...)
		}
		if err := e.putApp(ctx, a, records...); err != nil {
			return err
		}
		e.publish(f)
		added = a
		return nil
	})
	return added, err
}

// putApp stores an app, with further records. If it is the legacy one, no other
// app is.
func (e *Engine) putApp(ctx context.Context, app collector.App, records ...collector.Record) error {
	records = append(records, appRecord(app))
	var others []*fleet
	for _, f := range e.sorted() {
		if app.Legacy && f.app.Legacy && f.num != app.Num {
			other := f.app
			other.Legacy = false
			records = append(records, appRecord(other))
			others = append(others, f)
		}
	}
	if err := e.putRecords(ctx, records...); err != nil {
		return err
	}
	for _, f := range others {
		f.mu.Lock()
		f.app.Legacy = false
		f.mu.Unlock()
	}
	return nil
}

// publish makes a fleet known.
func (e *Engine) publish(f *fleet) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fleets[f.num] = f
	e.byKey[f.key] = f
}

// UpdateApp changes the settings of the app with app.Key. Num and Created stay.
func (e *Engine) UpdateApp(ctx context.Context, app collector.App) error {
	if err := app.Validate(); err != nil {
		return err
	}
	return e.exec(ctx, func(ctx context.Context) error {
		f := e.fleetByKey(app.Key)
		if f == nil {
			return fmt.Errorf("%w: %s", collector.ErrUnknownApp, app.Key)
		}
		a := app
		a.Num, a.Created = f.num, f.app.Created
		if err := e.putApp(ctx, a); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.app = a
		f.revision++
		return nil
	})
}

// Apps returns all apps in the order of their keys.
func (e *Engine) Apps() []collector.App {
	var apps []collector.App
	for _, f := range e.sorted() {
		apps = append(apps, f.settings())
	}
	slices.SortFunc(apps, func(a, b collector.App) int { return cmp.Compare(a.Key, b.Key) })
	return apps
}

// App returns the app with a key, and whether it exists.
func (e *Engine) App(key string) (collector.App, bool) {
	f := e.fleetByKey(key)
	if f == nil {
		return collector.App{}, false
	}
	return f.settings(), true
}

// fleetByKey returns the fleet of the app with a key, or nil.
func (e *Engine) fleetByKey(key string) *fleet {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.byKey[key]
}

// settings returns the app's settings.
func (f *fleet) settings() collector.App {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.app
}

// current returns the number that an app has now.
func (e *Engine) current(app collector.AppNum) collector.AppNum {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return cmp.Or(e.moved[app], app)
}

func settingKey(app collector.AppNum, name string) collector.RecordKey {
	return collector.RecordKey{Kind: kindSetting, App: app, Name: name}
}

// Setting returns what PutSetting stored, and whether it exists. The server and
// the pages keep tokens and alerts in settings. App is 0 for settings of the
// whole collector.
func (e *Engine) Setting(ctx context.Context, app collector.AppNum, name string) (data []byte, ok bool, err error) {
	return e.store.Record(ctx, settingKey(e.current(app), name))
}

// PutSetting stores a setting durably; nil deletes it. Pages of the app that were
// read before are no longer current.
func (e *Engine) PutSetting(ctx context.Context, app collector.AppNum, name string, data []byte) error {
	switch {
	case name == "" || len(name) > collector.MaxSettingName || strings.HasPrefix(name, "."):
		return fmt.Errorf("setting name %q must have 1 to %d bytes and not begin with a dot", name, collector.MaxSettingName)
	case len(data) > collector.MaxSettingBytes:
		return fmt.Errorf("setting %s has %d bytes, at most %d are allowed", name, len(data), collector.MaxSettingBytes)
	}
	return e.exec(ctx, func(ctx context.Context) error {
		if err := e.putRecords(ctx, collector.Record{RecordKey: settingKey(e.current(app), name), Data: data}); err != nil || app == 0 {
			return err
		}
		if f, err := e.fleet(app); err == nil {
			f.mu.Lock()
			f.revision++
			f.mu.Unlock()
		}
		return nil
	})
}
