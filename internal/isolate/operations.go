package isolate

import (
	"context"
	"errors"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// The operations that a child can be asked for.
const (
	opLoad       = "load"
	opSave       = "save"
	opReplace    = "replace"
	opMaintain   = "maintain"
	opRecover    = "recover"
	opReadConfig = "read settings"
	opReadPolicy = "read policy"
	opWriteValue = "write setting"
	opLoadState  = "load state"
	opSaveState  = "save state"
	opDiagnose   = "diagnose"
)

// operations are what a child does for each request.
var operations = map[string]func(context.Context, request) (result, error){
	opLoad: withStore(func(ctx context.Context, s keeper.Store, _ request) (keeper.Record, error) {
		return s.Load(ctx)
	}),
	opSave: withStore(func(ctx context.Context, s keeper.Store, req request) (keeper.Record, error) {
		return s.Save(ctx, req.ID)
	}),
	opReplace: withStore(func(ctx context.Context, s keeper.Store, req request) (keeper.Record, error) {
		return s.Replace(ctx, req.ID)
	}),
	opMaintain: withStore(func(ctx context.Context, s keeper.Store, req request) (keeper.Record, error) {
		if m, ok := s.(keeper.Maintainer); ok {
			return m.Maintain(ctx, req.ID)
		}
		return keeper.Record{}, errors.ErrUnsupported
	}),
	opRecover: withStore(func(ctx context.Context, s keeper.Store, _ request) (keeper.Record, error) {
		if m, ok := s.(keeper.Maintainer); ok {
			return keeper.Record{}, m.Recover(ctx)
		}
		return keeper.Record{}, errors.ErrUnsupported
	}),
	opReadConfig: withRecords(func(ctx context.Context, r idstore.Records, req request, res *result) error {
		d := r.ReadDecisions(ctx, req.Keys, nil)
		res.Values = d.Config
		return d.ConfigErr
	}),
	opReadPolicy: withRecords(func(ctx context.Context, r idstore.Records, req request, res *result) error {
		d := r.ReadDecisions(ctx, nil, req.Keys)
		res.Values = d.Policy
		return d.PolicyErr
	}),
	opWriteValue: withRecords(func(ctx context.Context, r idstore.Records, req request, _ *result) error {
		if len(req.Keys) != 1 {
			return errors.New("not one key")
		}
		return r.WriteValue(ctx, req.Keys[0], req.Literal)
	}),
	opLoadState: withRecords(func(ctx context.Context, r idstore.Records, _ request, res *result) (err error) {
		res.State, err = r.LoadState(ctx)
		return err
	}),
	opSaveState: withRecords(func(ctx context.Context, r idstore.Records, req request, _ *result) error {
		return r.SaveState(ctx, req.State)
	}),
	opDiagnose: func(ctx context.Context, req request) (result, error) {
		findings, err := req.Location.Diagnose(ctx, fsys.OS{})
		return result{Findings: findings}, err
	},
}

func withStore(do func(context.Context, keeper.Store, request) (keeper.Record, error)) func(context.Context, request) (result, error) {
	return func(ctx context.Context, req request) (result, error) {
		store, err := req.Location.Open()
		if err != nil {
			return result{}, err
		}
		defer drain(store)
		rec, err := do(ctx, store, req)
		return result{Record: rec}, err
	}
}

func withRecords(do func(context.Context, idstore.Records, request, *result) error) func(context.Context, request) (result, error) {
	return func(ctx context.Context, req request) (r result, err error) {
		records, err := req.Location.OpenRecords()
		if err != nil {
			return r, err
		}
		defer drain(records)
		err = do(ctx, records, req, &r)
		return r, err
	}
}

// drain waits until no operation is in flight.
func drain(of any) {
	r, ok := of.(interface{ Running() (string, time.Time) })
	for ok {
		if op, _ := r.Running(); op == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Load is keeper.Store's.
func (s *Store) Load(ctx context.Context) (keeper.Record, error) {
	r, err := s.do(ctx, request{Op: opLoad})
	r.Record.Unsynced = s.unsynced.Load() && !r.Record.ID.IsZero()
	return r.Record, err
}

// Save is keeper.Store's.
func (s *Store) Save(ctx context.Context, id installid.ID) (keeper.Record, error) {
	return s.write(ctx, request{Op: opSave, ID: id})
}

// Replace is keeper.Store's.
func (s *Store) Replace(ctx context.Context, id installid.ID) (keeper.Record, error) {
	return s.write(ctx, request{Op: opReplace, ID: id})
}

// Maintain is keeper.Maintainer's.
func (s *Store) Maintain(ctx context.Context, id installid.ID) (keeper.Record, error) {
	return s.write(ctx, request{Op: opMaintain, ID: id})
}

// write is for the operations that store an ID. The child that could not make one durable is gone, and with it what it
// knew of that; the next one syncs what it finds, and has to go by what that says.
func (s *Store) write(ctx context.Context, req request) (keeper.Record, error) {
	r, err := s.do(ctx, req)
	untouched := err == nil || configfile.Permanent(err) || errors.Is(err, jsonedit.ErrEmpty)
	s.unsynced.Store(!untouched && r.Record.ID.IsZero())
	return r.Record, err
}

// Recover is keeper.Maintainer's.
func (s *Store) Recover(ctx context.Context) error {
	_, err := s.do(ctx, request{Op: opRecover})
	return err
}

// ReadDecisions is idstore.Records'.
func (s *Store) ReadDecisions(ctx context.Context, configKeys, policyKeys []jsonedit.Key) (d idstore.Decisions) {
	if len(configKeys) > 0 {
		d.Config, d.ConfigErr = s.values(ctx, opReadConfig, configKeys)
	}
	if len(policyKeys) > 0 && ctx.Err() == nil {
		d.Policy, d.PolicyErr = s.values(ctx, opReadPolicy, policyKeys)
	}
	return d
}

func (s *Store) values(ctx context.Context, op string, keys []jsonedit.Key) ([]jsonedit.Value, error) {
	r, err := s.do(ctx, request{Op: op, Keys: keys})
	if err == nil && len(r.Values) != len(keys) {
		err = errors.New("child process: an answer of another length")
	}
	return r.Values, err
}

// WriteValue is idstore.Records'.
func (s *Store) WriteValue(ctx context.Context, key jsonedit.Key, literal string) error {
	_, err := s.do(ctx, request{Op: opWriteValue, Keys: []jsonedit.Key{key}, Literal: literal})
	return err
}

// LoadState is idstore.Records'.
func (s *Store) LoadState(ctx context.Context) ([]byte, error) {
	r, err := s.do(ctx, request{Op: opLoadState})
	return r.State, err
}

// SaveState is idstore.Records'.
func (s *Store) SaveState(ctx context.Context, state []byte) error {
	_, err := s.do(ctx, request{Op: opSaveState, State: state})
	return err
}

// Diagnose is idstore.Location's.
func (s *Store) Diagnose(ctx context.Context) ([]diagnose.Finding, error) {
	r, err := s.do(ctx, request{Op: opDiagnose})
	return r.Findings, err
}
