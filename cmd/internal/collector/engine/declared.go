package engine

import (
	"context"
	"maps"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A declarations has the values that keep their place, by dimension.
type declarations map[string]map[string]bool

func newDeclarations(d collector.Declarations) declarations {
	all := make(declarations)
	for _, fact := range d.Facts.Facts() {
		values := make(map[string]bool)
		for _, value := range fact.Values() {
			values[value] = true
		}
		all[collector.FactDimension+fact.Name] = values
	}
	if len(d.Releases) > 0 {
		versions := make(map[string]bool)
		for _, release := range d.Releases {
			versions[release.Version] = true
		}
		all[collector.DimVersion], all[collector.DimFirstVersion] = versions, versions
	}
	return all
}

func (d declarations) has(dimension, text string) bool { return d[dimension][text] }

func (d declarations) hasDimension(name string) bool {
	_, ok := d[name]
	return ok
}

// Declared returns what the maintainer declared.
func (e *Engine) Declared(app collector.AppNum) (d collector.Declarations, err error) {
	err = e.inspect(app, func(f *fleet) { d = f.declarations })
	return d, err
}

// Declare replaces what the maintainer declared. It sets the days on which
// releases came out, where the declaration has them.
func (e *Engine) Declare(ctx context.Context, app collector.AppNum, d collector.Declarations) error {
	if err := d.Validate(); err != nil {
		return err
	}
	return e.exec(ctx, func(ctx context.Context) error {
		f, err := e.fleet(app)
		if err != nil {
			return err
		}
		records := []collector.Record{f.record(kindDeclared, 0, "", d)}
		releases := make(map[string]releaseRecord)
		for _, declared := range d.Releases {
			release, seen := f.releases[declared.Version]
			if declared.Released == 0 || seen && release.Released == declared.Released {
				continue
			}
			release.Released = declared.Released
			releases[declared.Version] = release
			records = append(records, f.record(kindRelease, 0, declared.Version, release))
		}
		if err := e.putRecords(ctx, records...); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		maps.Copy(f.releases, releases)
		f.declare(d)
		f.revision++
		return nil
	})
}

func (f *fleet) declare(d collector.Declarations) {
	f.declarations, f.declared = d, newDeclarations(d)
	f.dims.reconsider()
}
