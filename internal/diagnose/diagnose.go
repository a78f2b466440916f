// Package diagnose checks everything that saving an installation ID depends
// on, and says what to do about each problem.
package diagnose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/consent"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

// A Finding is the result of one check.
type Finding struct {
	Check  string // what was checked, in a few words
	Level  Level
	Detail string // what was found
	Hint   string // what to do about it; empty if nothing need be done
}

// A Level is how serious a [Finding] is.
type Level int

// The levels.
const (
	OK      Level = iota // as it should be
	Warning              // works, with less than is promised otherwise
	Problem              // does not work
)

// A Judge is the store itself. It reports whether an ID is stored, or else why
// none could be saved now, as far as the store knows without writing. The
// findings explain its judgement and never contradict it.
type Judge func(ctx context.Context) (stored bool, err error)

// Config checks everything that saving the first of the keys in the config at
// path depends on, and reading all of them: the config, its directory and
// mount, the directory of the anchor, and what these support, which is tried on
// temporary files. Of the records beside the anchor it checks whose they are.
// It changes none of these files. If ctx ends first, that is the only finding.
func Config(ctx context.Context, disk fsys.FS, path string, keys []jsonedit.Key, anchorPath string, records []string, judge Judge) []Finding {
	return run(ctx, disk, judge, func(ctx context.Context, d *diagnosis) (works bool) {
		return d.config(ctx, path, keys, anchorPath, records)
	})
}

// File checks everything that publishing an anchor at path depends on. valid
// reports whether a text can be in it. See [Config] for what it touches.
func File(ctx context.Context, disk fsys.FS, path string, valid func(text string) bool, records []string, judge Judge) []Finding {
	return run(ctx, disk, judge, func(ctx context.Context, d *diagnosis) (works bool) {
		works = d.anchor(ctx, path, valid)
		d.records(ctx, records, fsys.Dir(path))
		return works
	})
}

func run(ctx context.Context, disk fsys.FS, judge Judge, check func(context.Context, *diagnosis) (works bool)) []Finding {
	findings, err := flight.Do(ctx, new(flight.Flight), "diagnose", func(ctx context.Context) ([]Finding, error) {
		d := diagnosis{fs: disk}
		stored, err := judge(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		d.conclude(stored, err, check(ctx, &d))
		return d.findings, nil
	})
	if err != nil {
		return []Finding{NotResponding(err)}
	}
	return findings
}

// conclude makes the findings agree with the store's judgement. With an ID that
// is stored, or a file that works for a new one, no other problem is one of
// keeping the ID.
func (d *diagnosis) conclude(stored bool, err error, works bool) {
	isProblem := func(f Finding) bool { return f.Level == Problem }
	switch {
	case err != nil && !slices.ContainsFunc(d.findings, isProblem):
		d.failed("installation ID", "", err)
	case err == nil && (stored || works):
		for i := range d.findings {
			d.findings[i].Level = min(d.findings[i].Level, Warning)
		}
	}
}

// NotResponding returns the only finding of a diagnosis that timed out with
// err.
func NotResponding(err error) Finding {
	return Finding{"disk", Problem, err.Error(), "the file system does not respond; check its mount, and its server if it has one"}
}

type diagnosis struct {
	fs       fsys.FS
	host     string // the path of the config, or ""
	findings []Finding
}

// ok adds the finding that nothing need be done.
func (d *diagnosis) ok(check, detail string) { d.add(check, OK, detail, "") }

func (d *diagnosis) add(check string, level Level, detail, hint string) {
	d.findings = append(d.findings, Finding{check, level, detail, hint})
}

// failed adds the finding that a check failed with err.
func (d *diagnosis) failed(check, prefix string, err error) {
	d.add(check, Problem, prefix+err.Error(), hintFor(err))
}

func (d *diagnosis) config(ctx context.Context, path string, keys []jsonedit.Key, anchorPath string, records []string) (works bool) {
	d.host = path
	target, err := replace.Resolve(ctx, d.fs, path)
	if err != nil {
		d.failed("config", "", err)
		return false
	}
	if target != path {
		d.ok("symlink", "points to "+target)
	}
	inPlace, mustStay := d.target(ctx, target, keys)
	d.openTo(ctx, "config", target, fsys.Dir(target))
	d.planted(ctx, "anchor", anchorPath, path)
	beside := d.directory(ctx, "directory", target, inPlace)
	anchor, served := beside, target // by the anchor
	if dir, err := replace.Resolve(ctx, d.fs, fsys.Dir(anchorPath)); err != nil || dir != fsys.Dir(target) {
		anchor = d.directory(ctx, "anchor directory", anchorPath, false)
		served = fsys.Dir(anchorPath)
	}
	d.openTo(ctx, "anchor", anchorPath, served)
	d.records(ctx, records, served)
	if anchor.Works() {
		return true
	}
	// Where no anchor is possible, the config is the only copy. It is written in
	// place where it cannot be replaced.
	if mustStay || configfile.Permanent(beside.Create) {
		return configfile.Permanent(anchor.Why()) && inPlace
	}
	return configfile.Permanent(anchor.Why()) && beside.Works()
}

// planted checks that nobody else has put a file of ours into a directory where
// everybody may.
func (d *diagnosis) planted(ctx context.Context, check, name string, others ...string) {
	if info, err := d.fs.Lstat(name); err == nil {
		if err := replace.CheckPlanted(ctx, d.fs, name, info, others...); err != nil {
			d.add(check, Warning, name+": "+err.Error(), "remove it, or keep the ID in a directory of your own (--state-dir)")
		}
	}
}

// records checks whose the files beside an anchor are.
func (d *diagnosis) records(ctx context.Context, names []string, served string) {
	for _, name := range names {
		if name != "" {
			d.planted(ctx, "record", name, d.host)
			d.openTo(ctx, "record", name, served)
		}
	}
}

// openTo checks that a file, if it exists, is open to the owner of another one
// whom it serves. One that root created under a tight umask may not be.
func (d *diagnosis) openTo(ctx context.Context, check, name, served string) {
	name, err := replace.Resolve(ctx, d.fs, name)
	if err != nil {
		return
	}
	info, err := d.fs.Lstat(name)
	if err != nil {
		return
	}
	if to, open := replace.IsOpenTo(ctx, d.fs, info, served); !open {
		d.add(check, Warning, fmt.Sprintf("%s is closed to user %d, to whom %s belongs", name, to.UID, served),
			fmt.Sprintf("chown %d:%d %s", to.UID, to.GID, name))
	}
}

// target checks the config itself and reports whether it could be changed in
// place, and whether it cannot be replaced.
func (d *diagnosis) target(ctx context.Context, name string, keys []jsonedit.Key) (inPlace, mustStay bool) {
	file := replace.New(d.fs, name, replace.Options{Torn: jsonedit.IsTorn, CutShort: jsonedit.IsCutShort})
	err := file.Read(ctx, func(s *replace.Snapshot) error {
		probe, err := jsonedit.NewString("00000000-0000-4000-8000-000000000000")
		if err != nil {
			return err
		}
		values, err := jsonedit.Scan(s.Data, keys)
		if err != nil {
			return err
		}
		if consent.Denies(values[0]) {
			d.add("config", Warning, name+" turns telemetry off with a plain value; only the anchor holds the ID",
				"for a copy of the ID in the config, put an object there")
			return nil
		}
		change, err := jsonedit.Edit(s.Data, keys[0], probe)
		if err != nil {
			return err
		}
		inPlace = s.CheckInPlace(ctx, change.Data) == nil
		d.ok("config", fmt.Sprintf("%s is readable, %d bytes", name, len(s.Data)))
		if err := s.CheckWritable(); err != nil {
			d.add("config writable", Problem, err.Error(), "make it writable, "+orStateDir)
		} else {
			d.ok("config writable", fmt.Sprintf("mode %04o", s.Mode().Perm()))
		}
		if n := s.LinkCount(); n > 1 {
			mustStay = true
			d.mustStay("hard links", fmt.Sprintf("the config has %d hard links", n), inPlace, "remove the others")
		}
		if mounted, err := d.fs.IsMountPoint(name); err == nil && mounted {
			mustStay = true
			d.mustStay("mount", "the config itself is a mount point", inPlace, "mount its directory instead of the single file")
		}
		if where, err := d.fs.MountedElsewhere(name); err == nil && where != "" {
			mustStay = true
			d.mustStay("mount elsewhere", "the config is also mounted by itself at "+where, inPlace, "mount its directory there instead of the single file")
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.ok("config", name+" does not exist; it will be created")
	case err != nil:
		d.failed("config", name+": ", err)
	}
	return inPlace, mustStay
}

// mustStay adds why the config cannot be replaced.
func (d *diagnosis) mustStay(check, why string, inPlace bool, hint string) {
	if inPlace {
		d.add(check, Warning, why+"; it is written in place", hint)
	} else {
		d.add(check, Problem, why+"; it "+replace.ErrNotInPlace.Error(), hint+", "+orStateDir)
	}
}

// anchor checks an anchor and its directory.
func (d *diagnosis) anchor(ctx context.Context, path string, valid func(text string) bool) (works bool) {
	s, err := replace.Read(ctx, d.fs, path)
	exists := false
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.ok("file", path+" does not exist; it will be created")
	case err != nil:
		d.failed("file", "", err)
	default:
		s.Close()
		if exists = valid(anchor.Text(s.Data)); exists {
			d.ok("file", path+" is readable")
		} else {
			d.add("file", Warning, path+" holds no ID; it will be replaced", "")
		}
	}
	readable := err == nil || errors.Is(err, fs.ErrNotExist)
	d.planted(ctx, "file", path)
	d.openTo(ctx, "file", path, fsys.Dir(path))
	return d.directory(ctx, "directory", path, exists).Works() && readable
}

// directory checks the directory of a file that is created or replaced, unless
// it is written in place or need not be written. It returns what works there,
// which is tried.
func (d *diagnosis) directory(ctx context.Context, check, name string, inPlace bool) (s replace.Support) {
	dir, err := replace.Resolve(ctx, d.fs, fsys.Dir(name))
	if err != nil {
		d.failed(check, "", err)
		return replace.Support{Create: err}
	}
	missing := ""
	for ctx.Err() == nil {
		info, err := d.fs.Lstat(dir)
		if err == nil && info.IsDir() {
			if info.Mode()&(0o002|fs.ModeSticky) == 0o002 {
				d.add(check, Warning, "everybody may write in "+dir+", and replace what lies there", "chmod o-w "+dir)
			}
			break
		}
		if err == nil {
			d.add(check, Problem, dir+" is not a directory", "remove it, or choose another path")
			return replace.Support{Create: syscall.ENOTDIR}
		}
		if parent := fsys.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
			missing, dir = "; missing directories below it will be created", parent
			continue
		}
		d.failed(check, "", err)
		return replace.Support{Create: err}
	}
	if missing == "" { // else it is about a directory that does not exist yet, and others shall not be littered
		name = fsys.Join(dir, filepath.Base(name))
		s = replace.Probe(ctx, d.fs, name, replace.AccessBeside(ctx, d.fs, name, d.host))
	}
	// What works counts, and not what the kernel says of it.
	if err := d.fs.CheckWritable(dir); fsys.IsReadOnly(err) && (missing != "" || s.Create != nil) {
		level := Problem
		if inPlace {
			level = Warning
		}
		d.add(check, level, fmt.Sprintf("%s is not writable: %v", dir, err), "make the directory writable, "+orStateDir)
		s.Create = cmp.Or(s.Create, err)
		return s
	}
	d.ok(check, dir+" is writable"+missing)
	if missing == "" {
		d.support(check, s)
	}
	return s
}

// support adds what a directory supports.
func (d *diagnosis) support(check string, support replace.Support) {
	if support.Create != nil {
		d.failed("new files in "+check, "", support.Create)
		return
	}
	lockHint := "programs that share a config do some work twice"
	if errors.Is(support.Lock, fsys.ErrLocked) {
		support.Lock = errors.New("another process holds it")
		lockHint = "look for a process that hangs; saving goes on without the lock"
	}
	for _, s := range []struct {
		what  string
		err   error
		level Level
		hint  string
	}{
		{"hard links in ", support.Link, Warning, "two programs that start at the same moment may disagree once about the ID"},
		{"exchange in ", support.Exchange, Warning, "a setting may be lost that is saved at the very moment the ID is saved"},
		{"durable names in ", support.SyncDir, Problem, hintFor(support.SyncDir)},
		{"lock of ", support.Lock, Warning, lockHint},
	} {
		if s.err != nil {
			d.add(s.what+check, s.level, s.err.Error(), s.hint)
		} else {
			d.ok(s.what+check, "supported")
		}
	}
}

const orStateDir = "or keep the ID in a state directory"

// hintFor returns what to do about an error.
func hintFor(err error) string {
	var syntax *jsonedit.SyntaxError
	switch {
	case errors.Is(err, jsonedit.ErrEmpty):
		return "write {} into it, or remove it"
	case errors.Is(err, jsonedit.ErrNotObject):
		return "the config must be a JSON object, and so must each part of the key's path before the last"
	case errors.Is(err, replace.ErrForeignLink):
		return "name the target itself, or let root or the owner of the target own the symlink (chown -h)"
	case errors.Is(err, replace.ErrPlanted):
		return "remove it, or keep the ID in a directory of your own (--state-dir)"
	case errors.Is(err, replace.ErrNotRegular):
		return "choose the path of a regular file"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free space on this disk, " + orStateDir
	case fsys.IsReadOnly(err):
		return "check the permissions and the mount options"
	case errors.Is(err, jsonedit.ErrTooLarge), errors.Is(err, replace.ErrTooLarge), errors.Is(err, jsonedit.ErrTooDeep):
		return "use a smaller config, " + orStateDir
	case errors.As(err, &syntax):
		return "correct it at this line and column; a file with a syntax error is never overwritten"
	default:
		return "fix this, and run doctor again"
	}
}
