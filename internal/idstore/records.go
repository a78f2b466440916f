package idstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/consent"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// Records are what is kept on disk besides the ID, in the same places: the
// operator's decisions in the config, and what was sent in a state file next
// to the anchor. Like those of a [keeper.Store], the methods return soon after
// their context ends and are safe for concurrent use.
type Records interface {
	// ReadDecisions reads the config's values at configKeys, and then those
	// of the machine-wide policy file at policyKeys. A file for which there
	// are no keys is not read, nor is the policy if ctx ends while the config
	// is read.
	ReadDecisions(ctx context.Context, configKeys, policyKeys []jsonedit.Key) Decisions
	// WriteValue sets the config's key to a JSON literal such as true or 2. It
	// writes no false where a plain denial stands in place of the object.
	WriteValue(ctx context.Context, key jsonedit.Key, literal string) error
	// CheckWrite returns why WriteValue would fail now, as far as that is known
	// without writing.
	CheckWrite(ctx context.Context, key jsonedit.Key) error
	// ReadWithdrawals reads what the operator withdrew through Rollcall, and
	// whether id was retired. After an error, anything may be withdrawn.
	ReadWithdrawals(ctx context.Context, id installid.ID) (Withdrawals, error)
	// Deny records a denial beside the anchor, durably. One that the same
	// source ordered before stands as it is.
	Deny(ctx context.Context, s Subject, d Denial) error
	// Grant removes a denial, durably; or if only is not zero, no other one
	// than that.
	Grant(ctx context.Context, s Subject, only Denial) error
	// Retire records that an ID must never be used again.
	Retire(ctx context.Context, id installid.ID) error
	// LoadNote reads what SaveNote wrote. The error is fs.ErrNotExist if there
	// is nothing.
	LoadNote(ctx context.Context, n Note) ([]byte, error)
	// SaveNote keeps one line of JSON, which is not longer than such a note may
	// be, in place of the last one.
	SaveNote(ctx context.Context, n Note, content []byte) error
	// ReadOperator returns what shows who the operator is. As far as the token
	// is missing, err says why; it is fs.ErrNotExist if there is none yet.
	ReadOperator(ctx context.Context) (o Operator, err error)
	// CreateToken is ReadOperator, but first creates the token if there is none.
	CreateToken(ctx context.Context) (o Operator, err error)
	// Running returns the operation in flight and when it began, or "".
	Running() (op string, since time.Time)
}

// Decisions are the values that say what the operator decided. The values of
// a file are nil if it was not read, and all Absent if it does not exist.
type Decisions struct {
	Config, Policy       []jsonedit.Value
	ConfigErr, PolicyErr error
}

// A Note is one line that is kept, in a file of its own.
type Note int

// The notes.
const (
	// StateNote says when reports were sent, in at most 1,000 bytes.
	StateNote Note = iota
	// HostNote has what a host in another process set, in at most MaxHost bytes.
	HostNote
	// UpdateNote has what is known of newer releases, in at most MaxUpdate bytes.
	UpdateNote

	notes = iota
)

// The greatest lengths of notes, in bytes.
const (
	MaxHost   = 16 << 10
	MaxUpdate = 4 << 10
)

// ErrNoPlace is returned by Records that have no file to write to.
var ErrNoPlace = errors.New("there is no file to keep it in")

// fileRecords are records in files. Each is nil if the location has none.
type fileRecords struct {
	config  *configfile.File
	policy  *configfile.File
	notes   [notes]*anchor.Anchor
	token   *anchor.Anchor
	denials *anchor.Anchor
	retired *ledger
	// besideConfig reports whether the state is next to the host's config.
	besideConfig bool
}

// OpenRecords returns the records of the location. It does not touch the disk.
// The records never use the config at the same time as store, which is a store
// of the same location or nil.
func (l Location) OpenRecords(disk fsys.FS, store keeper.Store) (Records, error) {
	r := new(fileRecords)
	var err error
	if l.PolicyPath != "" {
		if r.policy, err = configfile.Open(disk, l.PolicyPath, configfile.Options{Foreign: true}); err != nil {
			return nil, err
		}
	}
	configPath := l.DecisionsPath()
	if configPath == "" {
		return r, nil
	}
	if s, ok := unjudged(store).(*ConfigFile); ok {
		r.config = s.config.Sibling()
	} else if r.config, err = configfile.Open(disk, configPath, configfile.Options{New: newConfig(l.EnabledKey), Own: l.ConfigPath == ""}); err != nil {
		return nil, err
	}
	isJSON := func(text string) bool { return json.Valid([]byte(text)) }
	for n, size := range [notes]int{HostNote: MaxHost + len("\n"), UpdateNote: MaxUpdate + len("\n")} {
		if r.notes[n], err = r.config.Anchor(l.NotePath(Note(n)), anchor.Options{Valid: isJSON, MaxSize: size}); err != nil {
			return nil, err
		}
	}
	if r.denials, err = r.config.Anchor(l.DenialsPath(), anchor.Options{}); err != nil {
		return nil, err
	}
	if r.retired, err = l.openLedger(r.config.Anchor); err != nil {
		return nil, err
	}
	r.token, err = r.config.Anchor(l.recordPath(tokenSuffix), anchor.Options{Valid: isToken, Private: true})
	r.besideConfig = l.ConfigPath != "" && l.AnchorDir == ""
	return r, err
}

// The ends of the names of the anchor and of the records beside it.
const (
	anchorSuffix = ".installation-id"
	tokenSuffix  = ".rollcall-token"
)

var noteSuffixes = [notes]string{".rollcall-state", ".rollcall-host", ".rollcall-updates"}

// recordPath returns the hidden path of the record with the suffix, or "" if
// there is no place for it.
func (l Location) recordPath(suffix string) string {
	switch {
	case l.ConfigPath != "":
		return l.besideConfig(suffix)
	case l.StateFile != "":
		return fsys.Join(fsys.Dir(l.StateFile), hidden(filepath.Base(l.StateFile), suffix))
	case l.AnchorDir != "": // of a host that keeps the ID itself
		return fsys.Join(l.AnchorDir, ".installation"+suffix)
	}
	return ""
}

// IDPath returns the anchor or the state file, or "" if there is none.
func (l Location) IDPath() string {
	if l.ConfigPath != "" {
		return l.besideConfig(anchorSuffix)
	}
	return l.StateFile
}

// NotePath returns the file of a note, or "" if there is no place for one.
func (l Location) NotePath(n Note) string { return l.recordPath(noteSuffixes[n]) }

// DecisionsPath returns the file of the operator's decisions, or "" if there
// is none.
func (l Location) DecisionsPath() string {
	if l.ConfigPath != "" {
		return l.ConfigPath
	}
	return l.inState("consent.json") // for a host without a config
}

// DenialsPath returns the file of what the operator denied through Rollcall,
// or "" if there is no place for one.
func (l Location) DenialsPath() string { return l.withdrawalPath("telemetry-denied") }

// RetiredPath returns the file of the IDs that were reset or forgotten, or ""
// if there is no place for one.
func (l Location) RetiredPath() string { return l.withdrawalPath("retired-ids") }

func (l Location) withdrawalPath(name string) string {
	if l.ConfigPath != "" {
		return l.besideConfig("." + name)
	}
	return l.inState(name)
}

// inState returns the path of a file in the state directory of a host without a
// config, or "" if it has none.
func (l Location) inState(name string) string {
	switch {
	case l.StateFile != "":
		return fsys.Join(fsys.Dir(l.StateFile), name)
	case l.AnchorDir != "": // of a host that keeps the ID itself
		return fsys.Join(l.AnchorDir, name)
	}
	return ""
}

func (r *fileRecords) ReadDecisions(ctx context.Context, configKeys, policyKeys []jsonedit.Key) (d Decisions) {
	d.Config, d.ConfigErr = readValues(ctx, r.config, configKeys)
	if ctx.Err() == nil {
		d.Policy, d.PolicyErr = readValues(ctx, r.policy, policyKeys)
	}
	return d
}

func readValues(ctx context.Context, file *configfile.File, keys []jsonedit.Key) ([]jsonedit.Value, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	if file != nil {
		values, err := file.Read(ctx, keys...)
		if !errors.Is(err, fs.ErrNotExist) {
			return values, err
		}
	}
	return make([]jsonedit.Value, len(keys)), nil
}

func (r *fileRecords) WriteValue(ctx context.Context, key jsonedit.Key, literal string) error {
	if r.config == nil {
		return ErrNoPlace
	}
	err := r.config.SetLiteral(ctx, key, literal)
	if errors.Is(err, jsonedit.ErrNotObject) && literal == "false" {
		if values, readErr := r.config.Read(ctx, key); readErr == nil && consent.Denies(values[0]) {
			return nil // denied already
		}
	}
	return err
}

func (r *fileRecords) CheckWrite(ctx context.Context, key jsonedit.Key) error {
	if r.config == nil {
		return ErrNoPlace
	}
	err := r.config.Check(ctx, key, "true")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is created
	}
	return err
}

func (r *fileRecords) LoadNote(ctx context.Context, n Note) ([]byte, error) {
	file := r.notes[n]
	if file == nil {
		return nil, fs.ErrNotExist
	}
	text, err := file.Read(ctx)
	return []byte(text), err
}

func (r *fileRecords) SaveNote(ctx context.Context, n Note, content []byte) error {
	file := r.notes[n]
	if file == nil {
		return ErrNoPlace
	}
	if err := r.checkBeside(ctx); err != nil {
		return err
	}
	return file.Replace(ctx, string(content))
}

// checkBeside returns why nothing may be written beside the config: a read-only
// config is honoured here too.
func (r *fileRecords) checkBeside(ctx context.Context) error {
	if !r.besideConfig {
		return nil
	}
	if err := r.config.CheckWritable(ctx); fsys.IsReadOnly(err) {
		return fmt.Errorf("nothing is written beside the config: %w", err)
	}
	return nil
}

func (r *fileRecords) Running() (op string, since time.Time) {
	if r.config != nil {
		op, since = r.config.Running() // of the state too
	}
	if op == "" && r.policy != nil {
		return r.policy.Running()
	}
	return op, since
}
