// Package diagnose checks everything that saving an installation ID depends
// on, and says what to do about what it finds.
package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

// A Finding is one thing that was looked at for an operator.
type Finding struct {
	// Check is what was looked at, in a word or two.
	Check string `json:"check"`
	// Level tells how it stands.
	Level Level `json:"level"`
	// Detail says what was found.
	Detail string `json:"detail"`
	// Hint says what to do about it; empty when nothing is to be done.
	Hint string `json:"hint,omitempty"`
}

// Level tells how serious a [Finding] is.
type Level int

// The levels of findings.
const (
	OK      Level = iota // as it should be
	Warning              // works, with less than is promised otherwise
	Problem              // does not work
)

// String is "ok", "warning" or "problem".
func (l Level) String() string {
	switch l {
	case OK:
		return "ok"
	case Warning:
		return "warning"
	default:
		return "problem"
	}
}

// MarshalText gives [Level.String].
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText gives.
func (l *Level) UnmarshalText(text []byte) error {
	for _, level := range []Level{OK, Warning, Problem} {
		if level.String() == string(text) {
			*l = level
			return nil
		}
	}
	return errors.New("not a level")
}

// Config checks everything that saving key in the config at path depends on:
// the config, its directory and mount, the directory of the anchor, and what
// the file system supports, which is tried on temporary files. It changes
// neither the config nor the anchor. If ctx ends first, that is the finding.
func Config(ctx context.Context, disk fsys.FS, path string, key jsonedit.Key, anchorPath string) []Finding {
	return run(ctx, disk, func(ctx context.Context, d *diagnosis) { d.runConfig(ctx, path, key, anchorPath) })
}

// File checks everything that publishing an anchor at path depends on. valid
// reports whether a text can be in it.
func File(ctx context.Context, disk fsys.FS, path string, valid func(text string) bool) []Finding {
	return run(ctx, disk, func(ctx context.Context, d *diagnosis) { d.runFile(ctx, path, valid) })
}

func run(ctx context.Context, disk fsys.FS, check func(context.Context, *diagnosis)) []Finding {
	findings, err := flight.Do(ctx, new(flight.Flight), "diagnose", func(ctx context.Context) ([]Finding, error) {
		d := diagnosis{fs: disk}
		check(ctx, &d)
		return d.findings, nil
	})
	if err != nil {
		return []Finding{{"disk", Problem, err.Error(), "the file system does not answer; look at its mount and at its server"}}
	}
	return findings
}

type diagnosis struct {
	fs       fsys.FS
	findings []Finding
}

func (d *diagnosis) add(check string, level Level, detail, hint string) {
	d.findings = append(d.findings, Finding{check, level, detail, hint})
}

func (d *diagnosis) runConfig(ctx context.Context, path string, key jsonedit.Key, anchorPath string) {
	target, err := replace.Resolve(ctx, d.fs, path)
	if err != nil {
		d.add("config", Problem, err.Error(), hintFor(err))
		return
	}
	if target != path {
		d.add("symlink", OK, "leads to "+target, "")
	}
	inPlace := d.runTarget(ctx, target, key)
	d.runFolder(ctx, "folder", fsys.Dir(target), filepath.Base(target), inPlace)
	if dir := fsys.Dir(anchorPath); dir != fsys.Dir(target) {
		d.runFolder(ctx, "anchor folder", dir, filepath.Base(anchorPath), false)
	}
}

// runTarget checks the config and reports whether the change could be made in
// place.
func (d *diagnosis) runTarget(ctx context.Context, target string, key jsonedit.Key) (inPlace bool) {
	file := replace.New(d.fs, target, replace.Options{Torn: jsonedit.IsTorn})
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
		d.add("config", OK, fmt.Sprintf("%s, %d bytes, can be read", target, len(s.Data)), "")
		if err := s.CheckWritable(); err != nil {
			d.add("config writable", Problem, err.Error(), "make it writable, or give a state folder of its own for the ID")
		} else {
			d.add("config writable", OK, fmt.Sprintf("mode %04o", s.Mode().Perm()), "")
		}
		if n := s.LinkCount(); n > 1 {
			d.addInPlace("hard links", fmt.Sprintf("the config has %d names", n), inPlace, "give it one name")
		}
		if mounted, err := d.fs.IsMountPoint(target); err == nil && mounted {
			d.addInPlace("mount", "the config is itself a mount point", inPlace, "mount its folder instead of the one file")
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.add("config", OK, target+" does not exist; it will be made", "")
	case err != nil:
		d.add("config", Problem, target+": "+err.Error(), hintFor(err))
	}
	return inPlace
}

// addInPlace adds why the config has to be written in place.
func (d *diagnosis) addInPlace(check, why string, possible bool, hint string) {
	if possible {
		d.add(check, Warning, why+"; it is written in place", hint)
	} else {
		d.add(check, Problem, why+"; it "+replace.ErrNotInPlace.Error(), hint+", or give a state folder of its own for the ID")
	}
}

// runFolder looks at a folder that has to take a new file of that name, or a temporary one for it, unless it is written
// in place.
func (d *diagnosis) runFolder(ctx context.Context, check, dir, name string, inPlace bool) {
	missing := ""
	for ctx.Err() == nil {
		info, err := d.fs.Lstat(dir)
		if err == nil && (info.IsDir() || info.Mode()&fs.ModeSymlink != 0) {
			break
		}
		if err == nil {
			d.add(check, Problem, dir+" is not a folder", "remove what is there, or give another path")
			return
		}
		if parent := fsys.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
			missing, dir = " (the folders below it will be made)", parent
			continue
		}
		d.add(check, Problem, err.Error(), hintFor(err))
		return
	}
	if err := d.fs.CheckWritable(dir); err != nil {
		level, hint := Problem, "make the folder writable, or give a state folder of its own for the ID"
		if inPlace {
			level = Warning // it can still be written in place, or needs not to be written
		}
		d.add(check, level, fmt.Sprintf("%s cannot be written to: %v", dir, err), hint)
		return
	}
	d.add(check, OK, dir+" can be written to"+missing, "")
	if missing == "" { // else the folder that it is about is not there yet, and others are not to be littered
		d.runAbilities(ctx, check, dir, name)
	}
}

// runAbilities tries on temporary files for that name, which are swept as others are, what the file system can do. It
// stops when ctx ends: nobody waits for the findings then.
func (d *diagnosis) runAbilities(ctx context.Context, check, dir, name string) {
	probe := fsys.Join(dir, name)
	a, err := replace.WriteTemp(ctx, d.fs, probe, []byte("a\n"), 0o600)
	if err != nil {
		d.add(check+" takes files", Problem, err.Error(), hintFor(err))
		return
	}
	defer d.fs.Remove(a)
	if ctx.Err() != nil {
		return
	}
	b := strings.TrimSuffix(a, ".tmp") + "-2.tmp"
	if err := d.fs.Link(a, b); err != nil {
		d.add("hard links in "+check, Warning, err.Error(), "two programs that start at the same moment may disagree once about the ID")
	} else {
		defer d.fs.Remove(b)
		d.add("hard links in "+check, OK, "supported", "")
	}
	c, err := replace.WriteTemp(ctx, d.fs, probe, []byte("c\n"), 0o600)
	if err != nil {
		d.add(check+" takes files", Problem, err.Error(), hintFor(err))
		return
	}
	defer d.fs.Remove(c)
	if ctx.Err() != nil {
		return
	}
	if err := d.fs.Exchange(a, c); err != nil {
		d.add("exchange in "+check, Warning, err.Error(), "a setting that is saved in the very moment of a save of the ID may be lost")
	} else {
		d.add("exchange in "+check, OK, "supported", "")
	}
	if ctx.Err() != nil {
		return
	}
	if err := d.fs.SyncDir(dir); err != nil {
		d.add("durable names in "+check, Problem, err.Error(), hintFor(err))
	} else {
		d.add("durable names in "+check, OK, "supported", "")
	}
	unlock, err := replace.TryLock(ctx, d.fs, dir, replace.LockWait)
	unlock()
	switch {
	case errors.Is(err, fsys.ErrLocked):
		d.add("lock of "+check, Warning, "another process holds it", "look for one that hangs; saving goes on without the lock")
	case err != nil:
		d.add("lock of "+check, Warning, err.Error(), "several programs on one config will do some work twice")
	default:
		d.add("lock of "+check, OK, "supported", "")
	}
}

// hintFor says what to do about an error.
func hintFor(err error) string {
	switch {
	case errors.Is(err, jsonedit.ErrEmpty):
		return "write {} into it, or remove it"
	case errors.Is(err, jsonedit.ErrNotObject):
		return "the config has to be an object, and each part of the key's path before the last as well"
	case errors.Is(err, replace.ErrNotRegular):
		return "give the path of a file"
	case fsys.IsReadOnly(err):
		return "look at the permissions and at the mount's options"
	case errors.Is(err, jsonedit.ErrTooLarge), errors.Is(err, replace.ErrTooLarge), errors.Is(err, jsonedit.ErrTooDeep):
		return "give a smaller config, or use a state file"
	}
	var syntax *jsonedit.SyntaxError
	if errors.As(err, &syntax) {
		return "mend it at the line and column given; it is never written over"
	}
	return "mend this, and run doctor again"
}

// runFile checks the anchor.
func (d *diagnosis) runFile(ctx context.Context, path string, valid func(text string) bool) {
	s, err := replace.Read(ctx, d.fs, path)
	inPlace := false
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.add("file", OK, path+" does not exist; it will be made", "")
	case err != nil:
		d.add("file", Problem, err.Error(), hintFor(err))
	default:
		s.Close()
		if inPlace = valid(anchor.Text(s.Data)); inPlace {
			d.add("file", OK, path+" can be read", "")
		} else {
			d.add("file", Warning, path+" holds no ID; it will be replaced", "")
		}
	}
	d.runFolder(ctx, "folder", fsys.Dir(path), filepath.Base(path), inPlace)
}
