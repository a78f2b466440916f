package faultfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

func TestKill(t *testing.T) {
	d := faultfs.New()
	d.MkdirAll("/d", 0o755)
	p, q := d.As("p"), d.As("q")
	if _, err := p.LockDir("/d"); err != nil {
		t.Fatal(err)
	}
	if _, err := q.LockDir("/d"); !errors.Is(err, fsys.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	f, err := p.OpenFile("/d/f", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if !p.Killed() || q.Killed() {
		t.Error("killed the wrong process")
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, faultfs.ErrCrashed) {
		t.Errorf("write: got %v, want ErrCrashed", err)
	}
	if err := f.Close(); !errors.Is(err, faultfs.ErrCrashed) {
		t.Errorf("close: got %v, want ErrCrashed", err)
	}
	if _, err := p.Lstat("/d"); !errors.Is(err, faultfs.ErrCrashed) {
		t.Errorf("lstat: got %v, want ErrCrashed", err)
	}
	if open := d.OpenFiles(); len(open) > 0 {
		t.Errorf("still open: %v", open)
	}
	if _, err := q.LockDir("/d"); err != nil {
		t.Errorf("lock of the dead: %v", err)
	}
	expectContent(t, d, "/d/f", "")
}

func TestKillInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faultfs.New()
		d.WriteFile("/a", nil, 0o644)
		p := d.As("p")
		fault := d.Inject(faultfs.Rule{Op: faultfs.OpRename, Hang: true})
		done := make(chan error)
		go func() { done <- p.Rename("/a", "/b") }()
		<-fault.Hit()
		p.Kill()
		fault.Release()
		if err := <-done; !errors.Is(err, faultfs.ErrCrashed) {
			t.Errorf("got %v, want ErrCrashed", err)
		}
		if got := d.Files(); !slices.Equal(got, []string{"/a"}) {
			t.Errorf("got %v", got)
		}
	})
}

// A save is killed after each of its steps, and the state has exactly the
// steps before.
func TestStepLimit(t *testing.T) {
	var states []string
	for n := 0; ; n++ {
		d := faultfs.New()
		d.WriteFile("/etc/c", []byte("old"), 0o644)
		p := d.As("p")
		p.StepLimit(n)
		err := save(p, "/etc/c", strings.Repeat("new ", 1500), true, true)
		if !p.Killed() {
			if err != nil {
				t.Error(err)
			}
			break
		}
		content, err := d.ReadFile("/etc/c")
		tmp, _ := d.ReadFile("/etc/c.tmp")
		states = append(states, fmt.Sprint(len(d.Files()), " ", len(content), " ", len(tmp), " ", err))
	}
	want := []string{
		"1 3 0 <nil>",    // nothing
		"2 3 0 <nil>",    // created
		"2 3 4096 <nil>", // one page
		"2 3 6000 <nil>", // the other
		"2 3 6000 <nil>", // synced
		"1 6000 0 <nil>", // renamed
		"1 6000 0 <nil>", // directory synced
	}
	if !slices.Equal(states, want) {
		t.Errorf("got %q, want %q", states, want)
	}
}

// Of many processes that link a file of their own to one name, exactly
// one succeeds, in any order.
func TestRace(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			d := faultfs.New()
			d.MkdirAll("/d", 0o755)
			random := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			d.Inject(faultfs.Rule{Do: func() {
				mu.Lock()
				wait := time.Duration(random.IntN(1000))
				mu.Unlock()
				time.Sleep(wait)
			}})
			var winners []string
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					name := fmt.Sprint(i)
					p := d.As(name)
					f, err := p.OpenFile("/d/"+name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
					if err != nil {
						t.Error(err)
						return
					}
					_, err = f.Write([]byte(name))
					if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
						t.Error(err)
					}
					err = p.Link("/d/"+name, "/d/id")
					switch {
					case err == nil:
						mu.Lock()
						winners = append(winners, name)
						mu.Unlock()
					case !errors.Is(err, fs.ErrExist):
						t.Error(err)
					}
					if err := p.Remove("/d/" + name); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if len(winners) != 1 {
				t.Fatalf("got %v", winners)
			}
			expectContent(t, d, "/d/id", winners[0])
			if got := d.Files(); !slices.Equal(got, []string{"/d/id"}) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	d := faultfs.New()
	d.WriteFile("/etc/c", []byte("old"), 0o644)
	d.SetFree(5000, 1)
	f, err := d.OpenFile("/etc/t", os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Mkdir("/etc/d", 0o755); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("no inode: got %v, want ENOSPC", err)
	}
	n, err := f.Write(make([]byte, 6000))
	if n != 5000 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %d, %v, want 5000, ENOSPC", n, err)
	}
	n, err = f.WriteAt([]byte("in place"), 4990)
	if n != 8 || err != nil {
		t.Errorf("got %d, %v, want 8", n, err)
	}
	if err := d.Remove("/etc/t"); err != nil {
		t.Error(err)
	}
	if _, err = d.OpenFile("/etc/u", os.O_CREATE|os.O_WRONLY, 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("removed but open: got %v, want ENOSPC", err)
	}
	_ = f.Close()
	if err := save(d, "/etc/c", strings.Repeat("x", 5000), true, true); err != nil {
		t.Errorf("after there is room: %v", err)
	}
	if err := save(d, "/etc/c", "small", true, true); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	d.SetFree(-1, -1)
	if err := save(d, "/etc/c", "small", true, true); err != nil {
		t.Error(err)
	}
	if got := d.Files(); !slices.Equal(got, []string{"/etc/c"}) {
		t.Errorf("got %v", got)
	}
}

func TestReadOnlyLater(t *testing.T) {
	d := faultfs.New()
	f, err := d.OpenFile("/f", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	d.MarkReadOnly("/")
	if _, err := f.Write([]byte("x")); !errors.Is(err, syscall.EROFS) {
		t.Errorf("got %v, want EROFS", err)
	}
	d.MkdirAll("/volume", 0o755)
	d.MarkMountPoint("/volume")
	if err := d.Mkdir("/volume/d", 0o755); err != nil {
		t.Errorf("in a volume: %v", err)
	}
	d.WriteFile("/one", nil, 0o644)
	d.MarkReadOnly("/one")
	if err := d.CheckWritable("/one"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("one file: got %v, want EROFS", err)
	}
	d.ClearMarks("/")
	if _, err := f.Write([]byte("x")); err != nil {
		t.Error(err)
	}
}

func TestHelpers(t *testing.T) {
	d := faultfs.New()
	d.SetUser(1000, 1000)
	d.SetUmask(0o077)
	d.WriteFile("/etc/app/c", []byte("1"), 0o444)
	d.ReplaceFile("/etc/app/c", []byte("2"), 0o640)
	d.Symlink("app/c", "/etc/link")
	d.WriteFile("/etc/link", []byte("3"), 0o600)
	d.Chown("/etc/link", 1, 2)
	d.SetXattr("/etc/link", "user.x", "y")
	then := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	d.SetModTime("/etc/app/c", then)
	a, err := d.Attributes("/etc/app/c")
	if err != nil || a.Mode != 0o600 || a.UID != 1 || a.GID != 2 || a.Xattrs["user.x"] != "y" {
		t.Errorf("got %+v, %v", a, err)
	}
	if i, err := d.Lstat("/etc/app/c"); err != nil || !i.ModTime().Equal(then) {
		t.Errorf("got %v, %v", i, err)
	}
	if got, want := d.Files(), []string{"/etc/app/c", "/etc/link"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// Everything is durable.
	for state := range d.CrashStates() {
		if state.Origin() != "" {
			t.Errorf("got %q", state.Origin())
		}
		expectContent(t, state, "/etc/link", "3")
	}
	d.Delete("/etc")
	if _, err := d.ReadFile("/etc/app/c"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
	for name, wrong := range map[string]func(){
		"write to a directory": func() { d.WriteFile("/", nil, 0o644) },
		"chmod nothing":        func() { d.Chmod("/none", 0o644) },
		"mknod of a file":      func() { d.Mknod("/f", 0o644) },
		"a bad pattern":        func() { d.Inject(faultfs.Rule{Name: "["}) },
		"a bad operation":      func() { d.Inject(faultfs.Rule{Op: "opne"}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			wrong()
		}()
	}
}
