package faultfs_test

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// operations executes each operation once, on a disk made by
// operationScene.
var operations = map[faultfs.Op]func(d *faultfs.FS, f fsys.File, unlock func()) error{
	faultfs.OpOpen: func(d *faultfs.FS, _ fsys.File, _ func()) error {
		f, err := d.OpenFile("/d/f", os.O_RDONLY, 0)
		if err == nil {
			_ = f.Close()
		}
		return err
	},
	faultfs.OpLstat: func(d *faultfs.FS, _ fsys.File, _ func()) error { return second(d.Lstat("/d/f")) },
	faultfs.OpReadlink: func(d *faultfs.FS, _ fsys.File, _ func()) error {
		_, _, err := d.Readlink("/d/l")
		return err
	},
	faultfs.OpReadDir:  func(d *faultfs.FS, _ fsys.File, _ func()) error { return second(d.ReadDir("/d")) },
	faultfs.OpMkdir:    func(d *faultfs.FS, _ fsys.File, _ func()) error { return d.Mkdir("/d/new", 0o755) },
	faultfs.OpRemove:   func(d *faultfs.FS, _ fsys.File, _ func()) error { return d.Remove("/d/l") },
	faultfs.OpRename:   func(d *faultfs.FS, _ fsys.File, _ func()) error { return d.Rename("/d/f", "/d/new") },
	faultfs.OpLink:     func(d *faultfs.FS, _ fsys.File, _ func()) error { return d.Link("/d/f", "/d/new") },
	faultfs.OpExchange: func(d *faultfs.FS, _ fsys.File, _ func()) error { return d.Exchange("/d/f", "/d/l") },
	faultfs.OpSyncDir:  func(d *faultfs.FS, _ fsys.File, _ func()) error { return d.SyncDir("/d") },
	faultfs.OpLock:     func(d *faultfs.FS, _ fsys.File, _ func()) error { return second(d.LockDir("/d")) },
	faultfs.OpUnlock: func(_ *faultfs.FS, _ fsys.File, unlock func()) error {
		unlock()
		return nil
	},
	faultfs.OpCheckWritable: func(d *faultfs.FS, _ fsys.File, _ func()) error { return d.CheckWritable("/d/f") },
	faultfs.OpMountPoint:    func(d *faultfs.FS, _ fsys.File, _ func()) error { return second(d.IsMountPoint("/d/f")) },
	faultfs.OpElsewhere:     func(d *faultfs.FS, _ fsys.File, _ func()) error { return second(d.MountedElsewhere("/d/f")) },
	faultfs.OpPlace:         func(d *faultfs.FS, _ fsys.File, _ func()) error { return second(d.Place("/d/f")) },
	faultfs.OpRead:          func(_ *faultfs.FS, f fsys.File, _ func()) error { return second(f.Read(make([]byte, 3))) },
	faultfs.OpWrite:         func(_ *faultfs.FS, f fsys.File, _ func()) error { return second(f.Write([]byte("x"))) },
	faultfs.OpWriteAt:       func(_ *faultfs.FS, f fsys.File, _ func()) error { return second(f.WriteAt([]byte("x"), 0)) },
	faultfs.OpStat:          func(_ *faultfs.FS, f fsys.File, _ func()) error { return second(f.Stat()) },
	faultfs.OpSync:          func(_ *faultfs.FS, f fsys.File, _ func()) error { return f.Sync() },
	faultfs.OpClose:         func(_ *faultfs.FS, f fsys.File, _ func()) error { return f.Close() },
	faultfs.OpChown:         func(_ *faultfs.FS, f fsys.File, _ func()) error { return f.Chown(0, 0) },
	faultfs.OpChmod:         func(_ *faultfs.FS, f fsys.File, _ func()) error { return f.Chmod(0o640) },
	faultfs.OpCopyAttributes: func(_ *faultfs.FS, f fsys.File, _ func()) error {
		return f.CopyAttributes(f)
	},
	faultfs.OpHasWriters: func(d *faultfs.FS, _ fsys.File, _ func()) error {
		f, err := d.OpenFile("/d/f", os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return second(f.HasWriters())
	},
	faultfs.OpAmend: func(_ *faultfs.FS, f fsys.File, _ func()) error { return f.Amend([]byte("content"), []byte("C"), 0) },
}

func operationScene(t *testing.T) (d *faultfs.FS, f fsys.File, unlock func()) {
	t.Helper()
	d = faultfs.New()
	d.WriteFile("/d/f", []byte("content"), 0o644)
	d.Symlink("f", "/d/l")
	f, err := d.OpenFile("/d/f", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.MkdirAll("/other", 0o755)
	unlock, err = d.LockDir("/other")
	if err != nil {
		t.Fatal(err)
	}
	return d, f, unlock
}

func TestOpsIsEveryMethod(t *testing.T) {
	methods := reflect.TypeFor[fsys.FS]().NumMethod() + reflect.TypeFor[fsys.File]().NumMethod()
	if got, want := len(faultfs.Ops()), methods-4+1; got != want { // without SameFile, LinkCount, Owner, and Self, with unlock
		t.Errorf("got %d operations, want %d", got, want)
	}
	for _, op := range faultfs.Ops() {
		if operations[op] == nil {
			t.Errorf("%s is not tested", op)
		}
	}
}

func TestEveryOperationHangs(t *testing.T) {
	for _, op := range faultfs.Ops() {
		t.Run(string(op), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, f, unlock := operationScene(t)
				fault := d.Inject(faultfs.Rule{Op: op, Hang: true})
				result := make(chan error, 1)
				go func() { result <- operations[op](d, f, unlock) }()
				time.Sleep(365 * 24 * time.Hour)
				synctest.Wait()
				if got := fault.Waiting(); got != 1 {
					t.Fatalf("got %d operations waiting, want 1", got)
				}
				if got := d.InFlight(); got != 1 {
					t.Errorf("got %d operations in flight, want 1", got)
				}
				<-fault.Hit()
				fault.Release()
				if err := <-result; err != nil {
					t.Errorf("after the release: %v", err)
				}
				if d.InFlight() != 0 || fault.Waiting() != 0 || fault.Hits() != 1 {
					t.Errorf("got %d in flight, %d waiting, %d hits", d.InFlight(), fault.Waiting(), fault.Hits())
				}
			})
		})
	}
}

func TestEveryOperationFails(t *testing.T) {
	for _, op := range faultfs.Ops() {
		for name, rule := range map[string]faultfs.Rule{
			"not carried out": {Op: op, Err: syscall.EIO},
			"carried out":     {Op: op, AfterErr: syscall.EIO},
		} {
			t.Run(string(op)+" "+name, func(t *testing.T) {
				d, f, unlock := operationScene(t)
				d.ResetLog()
				d.Inject(rule)
				err := operations[op](d, f, unlock)
				if !errors.Is(err, syscall.EIO) && op != faultfs.OpUnlock {
					t.Errorf("got %v, want EIO", err)
				}
				i := slices.IndexFunc(d.Log(), func(e faultfs.Entry) bool { return e.Op == op })
				if i < 0 || d.Log()[i].Err != syscall.EIO || !d.Log()[i].Done {
					t.Errorf("got log %v", d.Log())
				}
				_, err = d.Lstat("/d/new")
				made := op == faultfs.OpMkdir || op == faultfs.OpRename || op == faultfs.OpLink
				if got, want := err == nil, made && rule.AfterErr != nil; got != want {
					t.Errorf("made: got %v, want %v", got, want)
				}
				// Whatever the error, the file is closed and the lock is
				// free.
				if op == faultfs.OpClose || op == faultfs.OpOpen {
					_ = f.Close()
					if open := d.OpenFiles(); len(open) > 0 {
						t.Errorf("still open: %v", open)
					}
				}
				d.ReleaseAll()
				unlock()
				for _, dir := range []string{"/d", "/other"} {
					if _, err := d.LockDir(dir); err != nil {
						t.Errorf("lock %s: %v", dir, err)
					}
				}
			})
		}
	}
}

func TestReleaseWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faultfs.New()
		d.WriteFile("/a", nil, 0o644)
		fault := d.Inject(faultfs.Rule{Op: faultfs.OpRename, Name: "b", Hang: true})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := d.Rename("/a", "/b"); !errors.Is(err, syscall.ESTALE) {
					t.Errorf("got %v, want ESTALE", err)
				}
			})
		}
		synctest.Wait()
		if got := fault.Waiting(); got != 3 {
			t.Errorf("got %d waiting, want 3", got)
		}
		fault.ReleaseWith(syscall.ESTALE)
		fault.Release() // no more
		wg.Wait()
		if err := d.Rename("/a", "/b"); err != nil {
			t.Errorf("after the release: %v", err)
		}
	})
}

// A late operation meets the changes made while it hung.
func TestLateCompletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faultfs.New()
		d.WriteFile("/a", []byte("late"), 0o644)
		d.WriteFile("/b", []byte("before"), 0o644)
		fault := d.Inject(faultfs.Rule{Op: faultfs.OpRename, Hang: true})
		done := make(chan error)
		go func() { done <- d.Rename("/a", "/b") }()
		<-fault.Hit()
		d.WriteFile("/b", []byte("edited"), 0o644)
		expectContent(t, d, "/b", "edited")
		fault.Release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		expectContent(t, d, "/b", "late")
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faultfs.New()
		d.WriteFile("/a", nil, 0o644)
		d.Inject(faultfs.Rule{Op: faultfs.OpLstat, Delay: 7 * time.Second, Times: 1})
		for _, want := range []time.Duration{7 * time.Second, 0} {
			start := time.Now()
			if _, err := d.Lstat("/a"); err != nil {
				t.Error(err)
			}
			if got := time.Since(start); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	})
}

func TestSkipAndTimes(t *testing.T) {
	d := faultfs.New()
	fault := d.Inject(faultfs.Rule{Op: faultfs.OpMkdir, Skip: 1, Times: 2, Err: syscall.EIO})
	var got []bool
	for _, name := range []string{"/a", "/b", "/c", "/d", "/e"} {
		got = append(got, d.Mkdir(name, 0o755) == nil)
	}
	if want := []bool{true, false, false, true, true}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if fault.Hits() != 2 {
		t.Errorf("got %d hits, want 2", fault.Hits())
	}
}

func TestRemoveRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faultfs.New()
		fault := d.Inject(faultfs.Rule{Op: faultfs.OpMkdir, Hang: true})
		done := make(chan error)
		go func() { done <- d.Mkdir("/a", 0o755) }()
		synctest.Wait()
		fault.Remove()
		if err := d.Mkdir("/b", 0o755); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if fault.Waiting() != 1 || d.Steps() != 1 {
			t.Errorf("got %d waiting, %d steps, want 1, 1", fault.Waiting(), d.Steps())
		}
		fault.Release()
		if err := <-done; err != nil || d.Steps() != 2 {
			t.Errorf("got %v, %d steps, want 2", err, d.Steps())
		}
	})
}

func TestRuleFits(t *testing.T) {
	for _, tt := range []struct {
		rule faultfs.Rule
		want bool
	}{
		{faultfs.Rule{}, true},
		{faultfs.Rule{Name: "config.json"}, true},
		{faultfs.Rule{Name: "*.json"}, true},
		{faultfs.Rule{Name: ".config.json.*"}, true},
		{faultfs.Rule{Name: "json"}, false},
		{faultfs.Rule{Name: "/etc/*"}, true},
		{faultfs.Rule{Name: "/usr/*"}, false},
		{faultfs.Rule{Op: faultfs.OpLink}, false},
		{faultfs.Rule{Proc: "a"}, true},
		{faultfs.Rule{Proc: "b"}, false},
		{faultfs.Rule{If: func(e faultfs.Entry) bool { return e.Mutates() }}, true},
		{faultfs.Rule{If: func(e faultfs.Entry) bool { return !e.Mutates() }}, false},
	} {
		d := faultfs.New().As("a")
		d.WriteFile("/etc/.config.json.1", nil, 0o644)
		fault := d.Inject(tt.rule)
		if err := d.Rename("/etc/.config.json.1", "/etc/config.json"); err != nil {
			t.Error(err)
		}
		if got := fault.Hits() == 1; got != tt.want {
			t.Errorf("%+v: got %v, want %v", tt.rule, got, tt.want)
		}
	}
}

func TestHooks(t *testing.T) {
	d := faultfs.New()
	d.WriteFile("/a", []byte("a"), 0o644)
	host := d.As("host")
	var steps []string
	d.Inject(faultfs.Rule{
		Op: faultfs.OpRename, Times: 1,
		Do: func() {
			d.WriteFile("/b", []byte("host"), 0o644)
			steps = append(steps, "before "+read(t, host, "/b"))
		},
		After: func() {
			steps = append(steps, "after "+read(t, host, "/b"))
			if err := host.Rename("/b", "/c"); err != nil {
				t.Error(err)
			}
		},
	})
	if err := d.Rename("/a", "/b"); err != nil {
		t.Error(err)
	}
	if want := []string{"before host", "after a"}; !slices.Equal(steps, want) {
		t.Errorf("got %v, want %v", steps, want)
	}
	if got, want := d.Files(), []string{"/c"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLog(t *testing.T) {
	d := faultfs.New().As("p")
	f, err := d.OpenFile("/f", os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("abc")); err != nil {
		t.Error(err)
	}
	_ = f.Close()
	_ = d.Rename("/f", "/none/g")
	_, _ = d.Lstat("/f")
	var got []string
	var mutates []bool
	for _, e := range d.Log() {
		got = append(got, e.String())
		mutates = append(mutates, e.Mutates())
	}
	want := []string{
		"p: open /f rw,create,excl",
		"p: write /f 3 bytes",
		"p: close /f",
		"p: rename /f /none/g: " + syscall.ENOENT.Error(),
		"p: lstat /f",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []bool{true, true, false, true, false}; !slices.Equal(mutates, want) {
		t.Errorf("got %v, want %v", mutates, want)
	}
}

func expectContent(t *testing.T, d *faultfs.FS, name, want string) {
	t.Helper()
	got, err := d.ReadFile(name)
	if err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
	}
}

// read reads through the interface.
func read(t *testing.T, d fsys.FS, name string) string {
	t.Helper()
	f, err := d.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer f.Close()
	buf := make([]byte, 1<<16)
	n, _ := f.Read(buf)
	return string(buf[:n])
}

// save writes a file by way of a temporary one, as durably as asked.
func save(d fsys.FS, name, content string, sync, syncDir bool) error {
	tmp := name + ".tmp"
	f, err := d.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(content))
	if err == nil && sync {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, d.Remove(tmp))
	}
	if err := d.Rename(tmp, name); err != nil {
		return errors.Join(err, d.Remove(tmp))
	}
	if syncDir {
		return d.SyncDir("/etc")
	}
	return nil
}

func second[T any](_ T, err error) error { return err }
