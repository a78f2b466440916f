package idstore

import (
	"context"
	"path/filepath"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/lasting"
)

// A judged store adds to what another one returns the doubt whether the ID will
// be there at the next start.
type judged struct {
	filed
	since *anchor.Anchor // since when the ID has been there
}

// A filed store keeps an ID in files.
type filed interface {
	keeper.Store
	// doubts returns why each file that holds the record's ID may not be there
	// at the next start, the most important one first.
	doubts(rec keeper.Record) []doubtFunc
	// mayFollow reports whether a file may be written beside the ID's.
	mayFollow(ctx context.Context) bool
}

// lookLimit bounds how long a store looks where an ID lies that it already knows.
const lookLimit = time.Second

type doubtFunc = func(context.Context) (lasting.Doubt, error)

const sinceSuffix = ".rollcall-since"

func isSurvival(text string) bool { return lasting.Parse(text) != lasting.Survival{} }

// judge returns the store that judges inner as well, unless the disk is trusted.
func (l Location) judge(inner filed, open openFunc) (keeper.Store, error) {
	if l.TrustDisk {
		return inner, nil
	}
	path := l.besideConfig(sinceSuffix)
	if l.StateFile != "" {
		path = fsys.Join(fsys.Dir(l.StateFile), hidden(filepath.Base(l.StateFile), sinceSuffix))
	}
	since, err := open(path, anchor.Options{Valid: isSurvival})
	return &judged{inner, since}, err
}

// unjudged returns the store that judges nothing.
func unjudged(store keeper.Store) keeper.Store {
	if j, ok := store.(*judged); ok {
		return j.filed
	}
	return store
}

// Load implements [keeper.Store]. It writes nothing.
func (s *judged) Load(ctx context.Context) (keeper.Record, error) {
	rec, err := s.filed.Load(ctx)
	return s.add(ctx, rec, err, false)
}

// Save implements [keeper.Store].
func (s *judged) Save(ctx context.Context, id installid.ID) (keeper.Record, error) {
	rec, err := s.filed.Save(ctx, id)
	return s.add(ctx, rec, err, true)
}

// Replace implements [keeper.Store].
func (s *judged) Replace(ctx context.Context, old, id installid.ID) (keeper.Record, error) {
	rec, err := s.filed.Replace(ctx, old, id)
	return s.add(ctx, rec, err, true)
}

// Maintain implements [keeper.Store].
func (s *judged) Maintain(ctx context.Context, id installid.ID) (keeper.Record, error) {
	rec, err := s.filed.Maintain(ctx, id)
	if rec.ID.IsZero() && err == nil { // there was nothing to maintain
		rec, err = s.filed.Load(ctx)
	}
	return s.add(ctx, rec, err, true)
}

// add adds the doubt to rec, unless err is not nil, which it returns. One file
// without a doubt is enough. In a doubtful place the time that the ID has been
// there is recorded if note is set. While the disk does not respond, that is a
// doubt too.
func (s *judged) add(ctx context.Context, rec keeper.Record, err error, note bool) (keeper.Record, error) {
	if rec.ID.IsZero() {
		return rec, err
	}
	look, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	var first lasting.Doubt
	for i, doubt := range s.doubts(rec) {
		d, doubtErr := doubt(look)
		switch {
		case doubtErr != nil && err != nil:
			return rec, err
		case doubtErr != nil:
			rec.Doubt = "it is not known where it lies, since the disk does not respond"
			return rec, nil
		case d == lasting.Doubt{}:
			return rec, err
		case i == 0:
			first = d
		}
	}
	if first.Certain || !s.survived(ctx, rec.ID.String(), note) {
		rec.Doubt = first.String()
	}
	return rec, err
}

// survived reports whether the ID has been in a doubtful place for so long that
// it will stay there.
func (s *judged) survived(ctx context.Context, id string, note bool) bool {
	now := time.Now()
	line, _ := s.since.Read(ctx)
	known, begin := lasting.Parse(line), lasting.Begin(id, now)
	if note && !known.Of(id, now) && begin != (lasting.Survival{}) && s.mayFollow(ctx) {
		_ = s.since.Replace(ctx, begin.String()) // tried again at the next check
	}
	return known.Long(id, now)
}
