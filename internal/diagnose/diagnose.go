// Package diagnose checks everything that saving an installation ID depends
// on, and says what to do about each problem.
package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/rollcall-dev/rollcall/internal/anchor"
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

// Config checks everything that saving key in the config at path depends on:
// the config, its directory and mount, the directory of the anchor, and what
// these support, which is tried on temporary files. It changes neither the
// config nor the anchor. If ctx ends first, that is the only finding.
func Config(ctx context.Context, disk fsys.FS, path string, key jsonedit.Key, anchorPath string) []Finding {
	return run(ctx, disk, func(ctx context.Context, d *diagnosis) { d.config(ctx, path, key, anchorPath) })
}

// File checks everything that publishing an anchor at path depends on. valid
// reports whether a text can be in it. See [Config] for what it touches.
func File(ctx context.Context, disk fsys.FS, path string, valid func(text string) bool) []Finding {
	return run(ctx, disk, func(ctx context.Context, d *diagnosis) { d.anchor(ctx, path, valid) })
}

func run(ctx context.Context, disk fsys.FS, check func(context.Context, *diagnosis)) []Finding {
	findings, err := flight.Do(ctx, new(flight.Flight), "diagnose", func(ctx context.Context) ([]Finding, error) {
		d := diagnosis{fs: disk}
		check(ctx, &d)
		return d.findings, nil
	})
	if err != nil {
		return []Finding{NotResponding(err)}
	}
	return findings
}

// NotResponding returns the only finding of a diagnosis that timed out with
// err.
func NotResponding(err error) Finding {
	return Finding{"disk", Problem, err.Error(), "the file system does not respond; check its mount, and its server if it has one"}
}

type diagnosis struct {
	fs       fsys.FS
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

func (d *diagnosis) config(ctx context.Context, path string, key jsonedit.Key, anchorPath string) {
	target, err := replace.Resolve(ctx, d.fs, path)
	if err != nil {
		d.failed("config", "", err)
		return
	}
	if target != path {
		d.ok("symlink", "points to "+target)
	}
	inPlace := d.target(ctx, target, key)
	d.directory(ctx, "directory", target, inPlace)
	if fsys.Dir(anchorPath) != fsys.Dir(target) {
		d.directory(ctx, "anchor directory", anchorPath, false)
	}
}

// target checks the config itself and reports whether it could be changed in
// place.
func (d *diagnosis) target(ctx context.Context, name string, key jsonedit.Key) (inPlace bool) {
	file := replace.New(d.fs, name, replace.Options{Torn: jsonedit.IsTorn, CutShort: jsonedit.IsCutShort})
	err := file.Read(ctx, func(s *replace.Snapshot) error {
		probe, err := jsonedit.NewString("00000000-0000-4000-8000-000000000000")
		if err != nil {
			return err
		}
		change, err := jsonedit.Edit(s.Data, key, probe)
		if err != nil {
			return err
		}
		inPlace = s.FitsInPlace(change.Data)
		d.ok("config", fmt.Sprintf("%s is readable, %d bytes", name, len(s.Data)))
		if err := s.CheckWritable(); err != nil {
			d.add("config writable", Problem, err.Error(), "make it writable, "+orStateDir)
		} else {
			d.ok("config writable", fmt.Sprintf("mode %04o", s.Mode().Perm()))
		}
		if n := s.LinkCount(); n > 1 {
			d.mustStay("hard links", fmt.Sprintf("the config has %d hard links", n), inPlace, "remove the others")
		}
		if mounted, err := d.fs.IsMountPoint(name); err == nil && mounted {
			d.mustStay("mount", "the config itself is a mount point", inPlace, "mount its directory instead of the single file")
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.ok("config", name+" does not exist; it will be created")
	case err != nil:
		d.failed("config", name+": ", err)
	}
	return inPlace
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
func (d *diagnosis) anchor(ctx context.Context, path string, valid func(text string) bool) {
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
	d.directory(ctx, "directory", path, exists)
}

// directory checks the directory of a file that is created or replaced, unless
// it is written in place or need not be written.
func (d *diagnosis) directory(ctx context.Context, check, name string, inPlace bool) {
	dir, missing := fsys.Dir(name), ""
	for ctx.Err() == nil {
		info, err := d.fs.Lstat(dir)
		if err == nil && (info.IsDir() || info.Mode()&fs.ModeSymlink != 0) {
			break
		}
		if err == nil {
			d.add(check, Problem, dir+" is not a directory", "remove it, or choose another path")
			return
		}
		if parent := fsys.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
			missing, dir = "; missing directories below it will be created", parent
			continue
		}
		d.failed(check, "", err)
		return
	}
	if err := d.fs.CheckWritable(dir); err != nil {
		level := Problem
		if inPlace {
			level = Warning
		}
		d.add(check, level, fmt.Sprintf("%s is not writable: %v", dir, err), "make the directory writable, "+orStateDir)
		return
	}
	d.ok(check, dir+" is writable"+missing)
	if missing == "" { // else it is about a directory that does not exist yet, and others shall not be littered
		d.probe(ctx, check, fsys.Join(dir, filepath.Base(name)))
	}
}

// probe checks what the directory of a file supports.
func (d *diagnosis) probe(ctx context.Context, check, name string) {
	support := replace.Probe(ctx, d.fs, name)
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
	case errors.Is(err, replace.ErrNotRegular):
		return "choose the path of a regular file"
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
