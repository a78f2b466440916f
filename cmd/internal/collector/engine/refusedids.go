package engine

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// ShownChars is how many characters of a refused ID are stored, for people. The
// ID itself is known by its key alone.
const ShownChars = 8

// RefuseID refuses the reports of an installation ID in canonical form, such as
// one that is part of an image, and deletes what is held about it. It can be
// repeated.
func (e *Engine) RefuseID(ctx context.Context, app collector.AppNum, id string) error {
	f, err := e.fleet(app)
	if err != nil {
		return err
	}
	return e.RefuseKey(ctx, app, e.keys.Key(f.key, id), id)
}

// RefuseKey is RefuseID of the ID that has a key. Shown are the first ShownChars
// characters of the ID; further ones are ignored.
func (e *Engine) RefuseKey(ctx context.Context, app collector.AppNum, key collector.Key, shown string) error {
	return e.exec(ctx, func(ctx context.Context) error {
		if err := cmp.Or(e.importing(), e.rollover(ctx)); err != nil {
			return err
		}
		f, err := e.fleet(app)
		if err != nil {
			return err
		}
		key := f.ownKey(key)
		if _, refused := f.refusedIDs[key]; refused {
			_, err = e.forget(ctx, f, key) // if that failed before
			return err
		}
		if len(f.refusedIDs) >= collector.MaxRefusedIDs {
			return collector.ErrTooManyRefusedIDs
		}
		refused := collector.RefusedID{ID: shown[:min(ShownChars, len(shown))], Since: f.today}
		if err := e.putRecords(ctx, f.record(kindRefusedID, 0, hex.EncodeToString(key[:]), refused)); err != nil {
			return err
		}
		f.mu.Lock()
		f.refusedIDs[key] = refused
		f.revision++
		f.mu.Unlock()
		_, err = e.forget(ctx, f, key)
		return err
	})
}

// AllowID accepts the reports of an ID again. Allowing one that is not refused is
// ErrNotRefused.
func (e *Engine) AllowID(ctx context.Context, app collector.AppNum, id string) error {
	f, err := e.fleet(app)
	if err != nil {
		return err
	}
	return e.AllowKey(ctx, app, e.keys.Key(f.key, id))
}

// AllowKey is AllowID of the ID that has a key.
func (e *Engine) AllowKey(ctx context.Context, app collector.AppNum, key collector.Key) error {
	return e.exec(ctx, func(ctx context.Context) error {
		f, err := e.fleet(app)
		if err != nil {
			return err
		}
		key := f.ownKey(key)
		if _, refused := f.refusedIDs[key]; !refused {
			return collector.ErrNotRefused
		}
		err = e.putRecords(ctx, collector.Record{RecordKey: f.recordKey(kindRefusedID, 0, hex.EncodeToString(key[:]))})
		if err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.refusedIDs, key)
		f.revision++
		return nil
	})
}

// RefusedIDs returns the IDs whose reports an app refuses, in the order of days.
func (e *Engine) RefusedIDs(app collector.AppNum) ([]collector.RefusedID, error) {
	refused := []collector.RefusedID{}
	err := e.inspect(app, func(f *fleet) {
		for _, r := range f.refusedIDs {
			refused = append(refused, r)
		}
	})
	slices.SortFunc(refused, func(a, b collector.RefusedID) int {
		if a.Since != b.Since {
			return int(a.Since - b.Since)
		}
		return strings.Compare(a.ID, b.ID)
	})
	return refused, err
}

func (f *fleet) readRefusedID(r collector.Record) error {
	key, err := hex.DecodeString(r.Name)
	if err != nil || len(key) != len(collector.Key{}) {
		return describe(r.RecordKey, fmt.Errorf("%q is not a key", r.Name))
	}
	var refused collector.RefusedID
	err = decodeRecord(r, &refused)
	f.refusedIDs[collector.Key(key)] = refused
	return err
}
