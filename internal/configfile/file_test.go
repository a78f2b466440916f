package configfile_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/configdisk"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

func TestOpen(t *testing.T) {
	disk := faultfs.New()
	if _, err := configfile.Open(disk, "config.json", configfile.Options{}); err == nil {
		t.Error("a relative path: no error")
	}
	f, err := configfile.Open(disk, faultfs.Abs("/etc//app/./config.json"), configfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if f.Path() != faultfs.Abs(configPath) {
		t.Errorf("got %s, want %s", f.Path(), configPath)
	}
	if log := disk.Log(); len(log) != 0 {
		t.Errorf("opening touched the disk: %v", log)
	}
}

// TestRealDisk is the one test here of what hosts have: the file system of the
// operating system.
func TestRealDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "config.json")
	f, err := configfile.Open(fsys.OS{}, path, configfile.Options{New: []byte(config)})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{id, otherID} {
		now, wrote, err := f.Set(t.Context(), key, id, func(jsonedit.Value) bool { return false })
		if now.Text != id || !wrote || err != nil {
			t.Errorf("got %v, %v, %v", now, wrote, err)
		}
		if data, err := os.ReadFile(path); string(data) != withID(config, id) || err != nil {
			t.Errorf("got %q, %v", data, err)
		}
	}
	if err := f.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 || err != nil {
		t.Errorf("got %v, %v, want the config alone", entries, err)
	}
}

func TestRead(t *testing.T) {
	enabled := jsonedit.Key{"telemetry", "enabled"}
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.WriteFile(configPath, []byte(`{"telemetry": {"enabled": true, "installation_id": "`+id+`"}}`), 0o644)
		got, err := open(t, disk).Read(t.Context(), key, enabled, jsonedit.Key{"none"})
		want := []jsonedit.Value{{Kind: jsonedit.String, Text: id}, {Kind: jsonedit.Bool, Text: "true"}, {}}
		if err != nil || len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
		configdisk.RequireReadOnly(t, disk)
	})
}

// TestRefused is about files that are not read, or read and not changed.
// Nothing is written, and nothing waits, except to read a file again that
// another program may be writing.
func TestRefused(t *testing.T) {
	const looks = 75 * time.Millisecond
	put := func(text string) func(*faultfs.FS) {
		return func(disk *faultfs.FS) { disk.WriteFile(configPath, []byte(text), 0o644) }
	}
	node := func(mode fs.FileMode) func(*faultfs.FS) {
		return func(disk *faultfs.FS) {
			disk.Delete(configPath)
			disk.Mknod(configPath, mode|0o644)
		}
	}
	for _, tt := range []struct {
		name      string
		prepare   func(*faultfs.FS)
		want      string
		is        error // nil for a *SyntaxError
		permanent bool
		takes     time.Duration
		reads     bool // whether reading works
	}{
		{"empty", put(""), "empty", jsonedit.ErrEmpty, false, looks, false},
		{"blank", put(" \r\n\t"), "empty", jsonedit.ErrEmpty, false, looks, false},
		{"only a byte order mark", put("\xef\xbb\xbf"), "empty", jsonedit.ErrEmpty, false, looks, false},
		{"cut off", put("{\n  \"a\": "), "line 2, column 8: ", nil, false, looks, false},
		{"garbage", put("{\n  a: 1}"), "line 2, column 3: ", nil, true, looks, false},
		{"UTF-16", put("\xff\xfe{\x00}\x00"), "line 1, column 1: looks like UTF-16", nil, true, looks, false},
		{"not an object", put("[]"), "top level: not an object", jsonedit.ErrNotObject, true, 0, true},
		{"telemetry is not an object", put(`{"telemetry": 1}`), "telemetry: not an object", jsonedit.ErrNotObject, true, 0, true},
		{"too large", put(strings.Repeat(" ", replace.MaxSize) + "{}"), "larger than", replace.ErrTooLarge, true, 0, false},
		{"too deep", put(strings.Repeat("[", 100_000)), "nested deeper", jsonedit.ErrTooDeep, true, 0, false},
		{
			"directory", func(disk *faultfs.FS) { disk.Delete(configPath); disk.MkdirAll(configPath, 0o755) },
			"not a regular file but a directory", replace.ErrNotRegular, true, 0, false,
		},
		{"FIFO", node(fs.ModeNamedPipe), "not a regular file but a FIFO", replace.ErrNotRegular, true, 0, false},
		{"socket", node(fs.ModeSocket), "not a regular file but a socket", replace.ErrNotRegular, true, 0, false},
		{"device", node(fs.ModeDevice), "not a regular file but a device", replace.ErrNotRegular, true, 0, false},
		{
			"directory is a file", func(disk *faultfs.FS) { disk.Delete("/etc/app"); disk.WriteFile("/etc/app", nil, 0o644) },
			"not a directory", nil, true, 0, false,
		},
		{"mode 0444", func(disk *faultfs.FS) { disk.Chmod(configPath, 0o444) }, "read-only: mode 0444", replace.ErrReadOnly, true, 0, true},
		{"mode 0400", func(disk *faultfs.FS) { disk.Chmod(configPath, 0o400) }, "read-only: mode 0400", replace.ErrReadOnly, true, 0, true},
		{"read-only mount", func(disk *faultfs.FS) { disk.MarkReadOnly("/") }, "read-only file system", nil, true, 0, true},
		{"immutable", func(disk *faultfs.FS) { disk.MarkImmutable(configPath) }, "operation not permitted", fs.ErrPermission, true, 0, true},
	} {
		if tt.name == "directory is a file" && runtime.GOOS == "windows" {
			continue // Windows says that the file does not exist
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				tt.prepare(disk)
				f := open(t, disk)
				before := disk.Files()
				for _, op := range []struct {
					name string
					do   func() error
				}{
					{"check", func() error { return f.Check(t.Context(), key, id) }},
					{"set", func() error { _, err := set(t.Context(), f, id); return err }},
					{"read", func() error { _, err := f.Read(t.Context(), key); return err }},
				} {
					begin := time.Now()
					err := op.do()
					took := time.Since(begin)
					if op.name == "read" && tt.reads {
						if err != nil {
							t.Errorf("read: %v", err)
						}
						continue
					}
					if err == nil {
						t.Fatalf("%s: no error, want %q", op.name, tt.want)
					}
					if !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
						t.Errorf("%s: got %v, want %q", op.name, err, tt.want)
					}
					if !strings.Contains(faultfs.Slashed(err.Error()), configPath) {
						t.Errorf("%s: does not name the file: %v", op.name, err)
					}
					if got := configfile.Permanent(err); got != tt.permanent {
						t.Errorf("%s: permanent: got %v, want %v: %v", op.name, got, tt.permanent, err)
					}
					if took != tt.takes {
						t.Errorf("%s: took %v, want %v", op.name, took, tt.takes)
					}
				}
				configdisk.RequireReadOnly(t, disk)
				if after := disk.Files(); strings.Join(after, " ") != strings.Join(before, " ") {
					t.Errorf("files: got %q, want %q", after, before)
				}
			})
		})
	}
}

// TestTornForAMoment reads a file again that another program is writing.
func TestTornForAMoment(t *testing.T) {
	for _, torn := range []string{"", "{\n  \"li"} {
		for _, d := range []time.Duration{4 * time.Millisecond, 20 * time.Millisecond, 74 * time.Millisecond, 76 * time.Millisecond} {
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				disk.WriteFile(configPath, []byte(torn), 0o644)
				f := open(t, disk)
				time.AfterFunc(d, func() { disk.WriteFile(configPath, []byte(config), 0o644) })
				begin := time.Now()
				stored, err := set(t.Context(), f, id)
				if d < 75*time.Millisecond {
					if stored != id || err != nil {
						t.Errorf("%q for %v: got %q, %v", torn, d, stored, err)
					}
				} else if err == nil || configfile.Permanent(err) {
					t.Errorf("%q for %v: got %q, %v, want an error that passes", torn, d, stored, err)
				}
				if took := time.Since(begin); took > 75*time.Millisecond {
					t.Errorf("%q for %v: took %v", torn, d, took)
				}
				time.Sleep(time.Second)
			})
		}
	}
}

func TestSet(t *testing.T) {
	for _, tt := range []struct {
		name, before, after string
		wrote               bool
	}{
		{"absent", config, withID(config, id), true},
		{"there", withID(config, id), withID(config, id), false},
		{"another", withID(config, otherID), withID(config, otherID), false},
		{"invalid", withID(config, "x"), withID(config, id), true},
		{"null", `{"telemetry": {"installation_id": null}}`, `{"telemetry": {"installation_id": "` + id + `"}}`, true},
		{"number", `{"telemetry": {"installation_id": 1e9}}`, `{"telemetry": {"installation_id": "` + id + `"}}`, true},
		{"object", `{"telemetry": {"installation_id": {"a": []}}}`, `{"telemetry": {"installation_id": "` + id + `"}}`, true},
		{
			"one megabyte", withID(config, strings.Repeat("x", 1<<20)),
			withID(config, id), true,
		},
		{
			"byte order mark, CRLF, comment, trailing comma, big number, no final newline",
			"\xef\xbb\xbf{\r\n\t// c\r\n\t\"n\": 123456789012345678901234567890,\r\n}",
			"\xef\xbb\xbf{\r\n\t// c\r\n\t\"n\": 123456789012345678901234567890,\r\n\t\"telemetry\": {\r\n\t\t\"installation_id\": \"" + id + "\",\r\n\t},\r\n}",
			true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				disk.WriteFile(configPath, []byte(tt.before), 0o644)
				f := open(t, disk)
				err := f.Check(t.Context(), key, id)
				now, wrote, setErr := f.Set(t.Context(), key, id, keepID)
				if err != nil || setErr != nil || wrote != tt.wrote || !keepID(now) {
					t.Errorf("got %v, %v, %v, %v, want %v", err, now, wrote, setErr, tt.wrote)
				}
				requireContent(t, disk, configPath, tt.after)
				requireNoTemps(t, disk)
				if !tt.wrote {
					for _, e := range disk.Log() {
						if e.Mutates() {
							t.Errorf("kept, and did %v", e)
						}
					}
				}
			})
		})
	}
}

// TestSetKeeps is about values of every kind that keep accepts, also if they
// are written again.
func TestSetKeeps(t *testing.T) {
	for _, literal := range []string{`"x"`, `"` + strings.Repeat("x", 300) + `"`, `17`, `true`, `null`, `{"a": 1}`} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			text := `{"telemetry": {"installation_id": ` + literal + `}}`
			disk.WriteFile(configPath, []byte(text), 0o644)
			f := open(t, disk)
			for _, fault := range []faultfs.Rule{{Op: faultfs.OpSync, Err: errors.New("no"), Times: 1}, {Op: faultfs.OpLstat}} {
				defer disk.Inject(fault).Remove()
				f.Set(t.Context(), key, id, func(jsonedit.Value) bool { return true })
				requireContent(t, disk, configPath, text)
			}
		})
	}
}

// TestSetLongText is about texts that a Value does not keep.
func TestSetLongText(t *testing.T) {
	a, b := strings.Repeat("a", 300), strings.Repeat("b", 300)
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		f := open(t, disk)
		for _, text := range []string{a, b, a} {
			if _, _, err := f.Set(t.Context(), key, text, func(jsonedit.Value) bool { return false }); err != nil {
				t.Error(err)
			}
			requireContent(t, disk, configPath, withID(config, text))
		}
	})
}

func TestSetLiteral(t *testing.T) {
	enabled := jsonedit.Key{"telemetry", "enabled"}
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.WriteFile(configPath, []byte(`{"telemetry": {"enabled": "what"}}`), 0o644)
		f := open(t, disk)
		for _, literal := range []string{"true", "false", "null", "17"} {
			if err := f.SetLiteral(t.Context(), enabled, literal); err != nil {
				t.Error(err)
			}
			requireContent(t, disk, configPath, `{"telemetry": {"enabled": `+literal+`}}`)
		}
		if err := f.SetLiteral(t.Context(), enabled, "{}"); err == nil || !strings.Contains(faultfs.Slashed(err.Error()), configPath) {
			t.Errorf("an object: got %v, want an error that names the file", err)
		}
	})
}

// TestCheckIsUsed checks that Set uses the change that Check has planned, and
// only if it is the same.
func TestCheckIsUsed(t *testing.T) {
	for _, tt := range []struct {
		name, between, want string
	}{
		{"unchanged", config, withID(config, id)},
		{"changed", saved, withID(saved, id)},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			f := open(t, disk)
			if err := f.Check(t.Context(), key, id); err != nil {
				t.Fatal(err)
			}
			disk.WriteFile(configPath, []byte(tt.between), 0o644)
			mustSet(t, f, id)
			requireContent(t, disk, configPath, tt.want)
		})
	}
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		f := open(t, disk)
		dotted := jsonedit.Key{"telemetry.installation_id"}
		if err := f.Check(t.Context(), dotted, id); err != nil {
			t.Fatal(err)
		}
		mustSet(t, f, id)
		requireContent(t, disk, configPath, withID(config, id))
	})
}

func TestCheckOfMissing(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Delete("/etc")
		err := open(t, disk).Check(t.Context(), key, id)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
	})
}

func TestWritable(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		f := open(t, disk)
		if err := f.CheckWritable(t.Context()); err != nil {
			t.Error(err)
		}
		disk.Chmod(configPath, 0o444)
		if err := f.CheckWritable(t.Context()); !errors.Is(err, replace.ErrReadOnly) || !fsys.IsReadOnly(err) {
			t.Errorf("got %v, want ErrReadOnly", err)
		}
		for _, e := range disk.Log() {
			if e.Op == faultfs.OpOpen {
				t.Errorf("did %v", e)
			}
		}
	})
}

// TestEndedContext checks that nothing is done after the context has ended.
func TestEndedContext(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		f := open(t, disk)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, readErr := f.Read(ctx, key)
		_, setErr := set(ctx, f, id)
		for _, err := range []error{
			readErr, setErr, f.Check(ctx, key, id), f.CheckWritable(ctx), f.Sync(ctx), f.Sweep(ctx),
		} {
			if !errors.Is(err, flight.ErrTimeout) || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want a time-out", err)
			}
		}
		if log := disk.Log(); len(log) != 0 {
			t.Errorf("touched the disk: %v", log)
		}
	})
}

// TestErrorText is about what an operator reads.
func TestErrorText(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule faultfs.Rule
		want string
	}{
		{
			"full", faultfs.Rule{Op: faultfs.OpWrite, Err: errors.New("no space left on device")},
			"save config /etc/app/config.json: write temporary file: write *: no space left on device",
		},
		{
			"hang", faultfs.Rule{Op: faultfs.OpSync, Hang: true},
			"config /etc/app/config.json: save: timed out: context deadline exceeded",
		},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			ctx, cancel := context.WithTimeout(t.Context(), attempt)
			defer cancel()
			f := open(t, disk)
			disk.Inject(tt.rule)
			_, err := set(ctx, f, id)
			before, after, _ := strings.Cut(tt.want, "*")
			if err == nil || !strings.HasPrefix(faultfs.Slashed(err.Error()), before) || !strings.HasSuffix(err.Error(), after) {
				t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
			}
			if tt.rule.Hang {
				_, err := set(ctx, f, id)
				if err == nil || strings.Count(err.Error(), "save") != 1 {
					t.Errorf("again: %v", err)
				}
			}
		})
	}
}

func TestNewDocument(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Delete(configPath)
		f, err := configfile.Open(disk, faultfs.Abs(configPath), configfile.Options{New: []byte("{\n  \"telemetry\": {\n    \"enabled\": false\n  }\n}\n")})
		if err != nil {
			t.Fatal(err)
		}
		mustSet(t, f, id)
		requireContent(t, disk, configPath, "{\n  \"telemetry\": {\n    \"enabled\": false,\n    \"installation_id\": \""+id+"\"\n  }\n}\n")
	})
}

// TestAnchorSharesFlight checks that the anchor of a config waits for the
// operation on the config, and that an anchor of its own does not.
func TestAnchorSharesFlight(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Inject(faultfs.Rule{Op: faultfs.OpLstat, Hang: true, Times: 1})
		f := open(t, disk)
		a := anchorOf(t, f)
		go set(t.Context(), f, id)
		begin := time.Now()
		waitForHang(t, disk)
		time.Sleep(time.Minute)
		for _, running := range []func() (string, time.Time){f.Running, a.Running} {
			if op, since := running(); op != "save" || since != begin {
				t.Errorf("running: got %q since %v, want save since %v", op, since, begin)
			}
		}
		alone, err := anchor.Open(disk, faultfs.Abs("/etc/app/other"), anchor.Options{Valid: isID})
		if err != nil {
			t.Fatal(err)
		}
		if text, err := alone.Publish(t.Context(), id); text != id || err != nil {
			t.Errorf("published: got %q, %v", text, err)
		}
		if op, _ := alone.Running(); op != "" {
			t.Errorf("running: got %q, want none", op)
		}
	})
}
