// Package idstore keeps an installation ID in files or in the host's own
// settings, and beside it the operator's decisions and the state of the
// reports. Its stores implement [keeper.Store].
package idstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// A Location says where on disk an ID is kept: in a config or in a state file.
// It can be passed to another process.
type Location struct {
	// ConfigPath is the path of the JSON config.
	ConfigPath string
	// Key is the key of the ID in the config.
	Key jsonedit.Key
	// EnabledKey is the key of the consent in the config. Nil means none.
	EnabledKey jsonedit.Key
	// AnchorDir is the directory of the anchor. Empty means that of the
	// config. It is created if it does not exist.
	AnchorDir string
	// StateFile is the path of the state file if there is no config.
	StateFile string
	// PolicyPath is the path of the machine-wide policy file. Empty means
	// none. Only [Records] read it.
	PolicyPath string
	// TrustDisk says that files last wherever they lie: nothing is in doubt.
	TrustDisk bool
}

// Open returns the store at the location. It does not touch the disk.
func (l Location) Open(disk fsys.FS) (keeper.Store, error) {
	switch {
	case l.ConfigPath != "" && l.StateFile != "":
		return nil, errors.New("both a config and a state file")
	case l.StateFile == "":
		config, err := l.openConfig(disk)
		if err != nil {
			return nil, err
		}
		return l.judge(config, config.config.Anchor)
	}
	open := opener(disk)
	file, err := l.openStateFile(open)
	if err != nil {
		return nil, err
	}
	return l.judge(file, open)
}

func (l Location) openStateFile(open openFunc) (*StateFile, error) {
	retired, err := l.openLedger(open)
	if err != nil {
		return nil, err
	}
	file, err := open(l.StateFile, anchor.Options{Valid: retired.valid})
	return &StateFile{file: file, retired: retired}, err
}

// An openFunc opens an anchor.
type openFunc = func(path string, opts anchor.Options) (*anchor.Anchor, error)

// opener returns a function that opens anchors, all with one flight.
func opener(disk fsys.FS) openFunc {
	f := new(flight.Flight)
	return func(path string, opts anchor.Options) (*anchor.Anchor, error) {
		opts.Flight = f
		return anchor.Open(disk, path, opts)
	}
}

// openLedger opens the ledger of the location.
func (l Location) openLedger(open openFunc) (*ledger, error) {
	retired := new(ledger)
	if l.RetiredPath() == "" {
		return retired, nil
	}
	var err error
	if retired.file, err = open(l.RetiredPath(), anchor.Options{MaxSize: maxLedger}); err != nil {
		return nil, err
	}
	paths := []string{l.DenialsPath(), l.recordPath(tokenSuffix), l.recordPath(sinceSuffix)}
	for _, suffix := range noteSuffixes {
		paths = append(paths, l.recordPath(suffix))
	}
	for _, path := range paths {
		file, err := open(path, anchor.Options{})
		if err != nil {
			return nil, err
		}
		retired.others = append(retired.others, file)
	}
	return retired, nil
}

// OpenFuncs returns the store that calls load, which returns the stored ID or
// "", and save. Neither may be nil. AnchorDir, if it is set, holds the IDs that
// were reset.
func (l Location) OpenFuncs(disk fsys.FS, load func(context.Context) (string, error), save func(context.Context, string) error) (*Funcs, error) {
	retired, err := l.openLedger(opener(disk))
	return &Funcs{load: load, save: save, retired: retired}, err
}

func (l Location) openConfig(disk fsys.FS) (*ConfigFile, error) {
	config, err := configfile.Open(disk, l.ConfigPath, configfile.Options{New: newConfig(l.EnabledKey)})
	if err != nil {
		return nil, err
	}
	if err := l.Key.Check(); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	retired, err := l.openLedger(config.Anchor)
	if err != nil {
		return nil, err
	}
	anchor, err := config.Anchor(l.IDPath(), anchor.Options{Valid: retired.valid})
	return &ConfigFile{
		retired:        retired,
		config:         config,
		anchor:         anchor,
		key:            l.Key,
		enabledKey:     l.EnabledKey,
		separateAnchor: l.AnchorDir != "",
	}, err
}

// besideConfig returns the path of a hidden file in AnchorDir that is named
// after the config.
func (l Location) besideConfig(suffix string) string {
	return fsys.Join(cmp.Or(l.AnchorDir, fsys.Dir(l.ConfigPath)), hidden(filepath.Base(l.ConfigPath), suffix))
}

// maxName is the length of the longest name in bytes. Windows counts UTF-16
// units; a name never has more of those than bytes.
const maxName = 255

// hidden returns the name of a hidden file that belongs to the file base. Where
// it would be too long, a hash stands for the end of base.
func hidden(base, suffix string) string {
	name := "." + base + suffix
	if len(name) <= maxName {
		return name
	}
	hash := fmt.Sprintf("-%x", sha256.Sum256([]byte(base)))[:17]
	return "." + fsys.CutName(base, maxName-len("."+hash+suffix)) + hash + suffix
}

// newConfig returns what a config that does not exist begins with: the
// operator's switch, which is off.
func newConfig(enabled jsonedit.Key) []byte {
	if len(enabled) == 0 {
		return []byte("{}\n")
	}
	var content any = false
	for _, name := range slices.Backward(enabled) {
		content = map[string]any{name: content}
	}
	text, _ := json.MarshalIndent(content, "", "  ")
	return append(text, '\n')
}

// Diagnose examines everything that saving an ID at the location depends on.
// It waits no longer than ctx.
func (l Location) Diagnose(ctx context.Context, disk fsys.FS) ([]diagnose.Finding, error) {
	store, err := l.Open(disk)
	if err != nil {
		return nil, err
	}
	records, err := l.OpenRecords(disk, store)
	if err != nil {
		return nil, err
	}
	var findings []diagnose.Finding
	var file *anchor.Anchor
	beside := []string{l.DenialsPath(), l.RetiredPath(), l.NotePath(StateNote), l.NotePath(UpdateNote)}
	if s, ok := unjudged(store).(*ConfigFile); ok {
		file = s.anchor
		findings = diagnose.Config(ctx, disk, s.config.Path(), s.keys(), s.anchor.Path(), beside, judge(s, s.plan))
	} else {
		noPlan := func(context.Context, installid.ID) (plan, error) { return plan{}, nil }
		file = unjudged(store).(*StateFile).file
		findings = diagnose.File(ctx, disk, l.StateFile, isID, append(beside, l.DecisionsPath()), judge(store, noPlan))
	}
	if ctx.Err() != nil {
		return findings, nil
	}
	w, err := records.ReadWithdrawals(ctx, installid.ID{})
	if err != nil && ctx.Err() != nil {
		return []diagnose.Finding{diagnose.NotResponding(err)}, nil
	}
	findings = append(findings, l.diagnoseWithdrawals(w, err)...)
	return l.diagnoseDisk(ctx, findings, store, file), nil
}

// diagnoseWithdrawals says what the operator denied through Rollcall, which
// whoever edits the config may not know.
func (l Location) diagnoseWithdrawals(w Withdrawals, err error) (findings []diagnose.Finding) {
	const check = "withdrawal"
	if err != nil {
		return []diagnose.Finding{{
			Check: check, Level: diagnose.Problem, Detail: err.Error(),
			Hint: "telemetry is denied until the file can be read; repair it, or remove it",
		}}
	}
	for _, d := range []struct {
		what, grant string
		Denial
	}{{"telemetry is", "rollcall enable", w.Telemetry}, {"health reports are", "rollcall enable --health", w.Health}, {"the update check is", "rollcall enable --update-check", w.UpdateCheck}} {
		if d.Denied {
			detail := fmt.Sprintf("%s denied by %s on %s, whatever the config says: %s", d.what, d.By, d.Since.Format(time.RFC3339), l.DenialsPath())
			hint := "to grant again, use " + d.grant + " or the operator's page, or remove the file"
			findings = append(findings, diagnose.Finding{Check: check, Level: diagnose.OK, Detail: detail, Hint: hint})
		}
	}
	return findings
}

// judge returns the judgement of a store: what the next start would find, and
// if nothing, whether it would begin to save.
func judge(store keeper.Store, planned func(context.Context, installid.ID) (plan, error)) diagnose.Judge {
	return func(ctx context.Context) (stored bool, err error) {
		rec, err := store.Load(ctx)
		if !errors.Is(err, keeper.ErrNotFound) {
			return err == nil && !rec.ID.IsZero() && !rec.Unread, err
		}
		_, err = planned(ctx, installid.New())
		return false, err
	}
}

// diagnoseDisk adds to findings whether the ID, or one that is stored, will be
// there at the next start.
func (l Location) diagnoseDisk(ctx context.Context, findings []diagnose.Finding, store keeper.Store, file *anchor.Anchor) []diagnose.Finding {
	if ctx.Err() != nil {
		return findings
	}
	rec, _ := store.Load(ctx)
	if rec.ID.IsZero() && !l.TrustDisk {
		doubt, err := file.Doubt(ctx)
		if err != nil {
			return []diagnose.Finding{diagnose.NotResponding(err)}
		}
		rec.Doubt = doubt.String()
	}
	if ctx.Err() != nil {
		return []diagnose.Finding{diagnose.NotResponding(ctx.Err())}
	}
	found := diagnose.Finding{Check: "disk lasts", Detail: "an ID will be there at the next start"}
	if rec.Doubt != "" {
		found.Level, found.Detail = diagnose.Warning, "an ID counts as in-memory: "+rec.Doubt
		found.Hint = "if it does last, say so with ROLLCALL_TRUST_DISK=true; an ID that survives 30 days counts as persisted anyway"
	}
	return append(findings, found)
}
