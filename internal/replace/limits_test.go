package replace_test

import (
	"cmp"
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// count returns the number of operations that match.
func count(disk *faultfs.FS, fits func(faultfs.Entry) bool) int {
	n := 0
	for _, e := range disk.Log() {
		if fits(e) {
			n++
		}
	}
	return n
}

func isNewTemp(e faultfs.Entry) bool {
	return e.Op == faultfs.OpOpen && e.Mutates() && strings.Contains(e.Name, ".rollcall-")
}

// TestMaxRounds starts over ten times for a host that saves each time in
// between.
func TestMaxRounds(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		saves := 0
		disk.Inject(faultfs.Rule{Op: faultfs.OpOpen, Name: "*.tmp", Do: func() {
			saves++
			disk.ReplaceFile(configPath, []byte(saved+strings.Repeat("\n", saves)), 0o644)
		}})
		_, err := set(t.Context(), open(t, disk), id)
		if !errors.Is(err, replace.ErrChanging) || configfile.Permanent(err) {
			t.Errorf("got %v, want ErrChanging, not permanent", err)
		}
		if n := count(disk, isNewTemp); n != 10 {
			t.Errorf("got %d rounds, want 10", n)
		}
		requireContent(t, disk, configPath, saved+strings.Repeat("\n", saves))
		requireNoTemps(t, disk)
	})
}

// TestMaxPutBackRounds puts back ten saves that follow one another, and then
// the newest of all.
func TestMaxPutBackRounds(t *testing.T) {
	for _, saves := range []int{1, 2, 3, 9, 10, 11, 12, 13, 1000} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			n := 0
			last := ""
			disk.Inject(faultfs.Rule{Op: faultfs.OpExchange, Times: saves, Do: func() {
				n++
				last = strings.Replace(saved, "2", strings.Repeat("2", n%7+1), 1)
				disk.ReplaceFile(configPath, []byte(last), 0o644)
			}})
			_, err := set(t.Context(), open(t, disk), id)
			if got := content(t, disk, configPath); got != last && got != withID(last, id) {
				t.Errorf("%d saves: got %q, want %q", saves, got, last)
			}
			if exchanges := count(disk, func(e faultfs.Entry) bool { return e.Op == faultfs.OpExchange }); exchanges > 10*11 {
				t.Errorf("%d saves: %d exchanges", saves, exchanges)
			}
			if err != nil && !errors.Is(err, replace.ErrChanging) {
				t.Errorf("%d saves: %v", saves, err)
			}
			requireNoTemps(t, disk)
		})
	}
}

// TestWaitForWriters waits 200 ms for a program to close the config.
func TestWaitForWriters(t *testing.T) {
	for held, want := range map[time.Duration]time.Duration{
		100 * time.Millisecond: 100 * time.Millisecond,
		time.Hour:              200 * time.Millisecond,
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			file, err := disk.As("host").OpenFile(configPath, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(held, func() { file.Close() })
			begin := time.Now()
			_, err = set(t.Context(), open(t, disk), id)
			if d := time.Since(begin); d < want || d > want+time.Millisecond {
				t.Errorf("held for %v: took %v", held, d)
			}
			if held < want {
				t.Error("never")
			} else if held == want && err != nil || held > want && !errors.Is(err, replace.ErrChanging) {
				t.Errorf("held for %v: got %v", held, err)
			}
			if timer.Stop() {
				file.Close()
			}
			requireNoTemps(t, disk)
		})
	}
}

// TestTempName checks that the name is hidden and short enough for every file
// system, whatever the config is called.
func TestTempName(t *testing.T) {
	for _, name := range []string{
		"c", strings.Repeat("n", 100), strings.Repeat("n", 101), strings.Repeat("n", 230),
		strings.Repeat("ä", 100), "x" + strings.Repeat("ä", 100), "x" + strings.Repeat("€", 70),
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			file := path.Join("/etc/app", name)
			disk.WriteFile(file, []byte(config), 0o644)
			f := openAt(t, disk, file)
			mustSet(t, f, id)
			i := slices.IndexFunc(disk.Log(), isNewTemp)
			temp := path.Base(disk.Log()[i].Name)
			if len(temp) > 140 || !utf8.ValidString(temp) || !strings.HasPrefix(temp, "."+name[:1]) {
				t.Errorf("%s: got %s, %d bytes", name, temp, len(temp))
			}
			disk.WriteFile("/etc/app/"+temp, nil, 0o644)
			time.Sleep(10 * time.Minute)
			if err := f.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
			requireNoTemps(t, disk)
		})
	}
}

// TestMaxSize is about configs at the limit, which are read in a few pieces at
// most.
func TestMaxSize(t *testing.T) {
	for size, want := range map[int]error{replace.MaxSize: nil, replace.MaxSize + 1: replace.ErrTooLarge} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			disk.WriteFile(configPath, []byte(ofSize(size, 0)), 0o644)
			f := open(t, disk)
			if _, err := f.Read(t.Context(), key); !errors.Is(err, want) {
				t.Errorf("%d bytes: got %v, want %v", size, err, want)
			}
			if n := count(disk, func(e faultfs.Entry) bool { return e.Op == faultfs.OpRead }); n > 2 || want != nil && n > 0 {
				t.Errorf("%d bytes: read in %d pieces", size, n)
			}
			// A config that would become too large stays as it is.
			if _, err := set(t.Context(), f, id); !errors.Is(err, cmp.Or(want, jsonedit.ErrTooLarge)) || !configfile.Permanent(err) {
				t.Errorf("%d bytes: got %v, want ErrTooLarge, permanent", size, err)
			}
		})
	}
}

// TestGrowsWhileRead is about a file that has become too large since its size
// was read.
func TestGrowsWhileRead(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Inject(faultfs.Rule{Op: faultfs.OpRead, Times: 1, Do: func() {
			disk.WriteFile(configPath, []byte(ofSize(replace.MaxSize+1, 0)), 0o644)
		}})
		if _, err := open(t, disk).Read(t.Context(), key); !errors.Is(err, replace.ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
	})
}
