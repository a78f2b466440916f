package configfile_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// Hints that come more than once.
const (
	giveStateFolder  = "give a state folder of its own for the ID"
	makeWritable     = "make it writable, or " + giveStateFolder
	makeFolderUsable = "make the folder writable, or " + giveStateFolder
	mountFolder      = "mount its folder instead of the one file"
)

const healthy = `
ok: config: /etc/app/config.json, 36 bytes, can be read
ok: config writable: mode 0644
ok: folder: /etc/app can be written to
ok: hard links in folder: supported
ok: exchange in folder: supported
ok: durable names in folder: supported
ok: lock of folder: supported
`

func lines(findings []diagnose.Finding) string {
	var b strings.Builder
	b.WriteString("\n")
	for _, f := range findings {
		b.WriteString(f.Level.String() + ": " + f.Check + ": " + f.Detail)
		if f.Hint != "" {
			b.WriteString(" [" + f.Hint + "]")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func diagnoseConfig(ctx context.Context, disk *faultfs.FS, anchorDir string) []diagnose.Finding {
	return diagnose.Config(ctx, disk, configPath, key, anchorPathIn(anchorDir))
}

func TestDiagnose(t *testing.T) {
	put := func(text string) func(*faultfs.FS) {
		return func(disk *faultfs.FS) { disk.WriteFile(configPath, []byte(text), 0o644) }
	}
	fails := func(op faultfs.Op, err error) func(*faultfs.FS) {
		return func(disk *faultfs.FS) { disk.Inject(faultfs.Rule{Op: op, Err: err}) }
	}
	for _, tt := range []struct {
		name      string
		prepare   func(*faultfs.FS)
		anchorDir string
		uid       int
		want      []string // lines that are there; none for those of healthy
	}{
		{name: "healthy", prepare: func(*faultfs.FS) {}},
		{name: "healthy, anchor elsewhere", anchorDir: "/var/lib", prepare: func(disk *faultfs.FS) {
			disk.MkdirAll("/var/lib", 0o755)
		}, want: []string{
			"ok: config writable: mode 0644",
			"ok: anchor folder: /var/lib can be written to",
			"ok: exchange in anchor folder: supported",
		}},
		{name: "healthy, anchor elsewhere, folder missing", anchorDir: "/var/lib/app", prepare: func(disk *faultfs.FS) {
			disk.MkdirAll("/var", 0o755)
		}, want: []string{
			"ok: anchor folder: /var can be written to (the folders below it will be made)",
		}},
		{name: "missing", prepare: func(disk *faultfs.FS) { disk.Delete("/etc/app") }, want: []string{
			"ok: config: /etc/app/config.json does not exist; it will be made",
			"ok: folder: /etc can be written to (the folders below it will be made)",
		}},
		{name: "symlink", prepare: func(disk *faultfs.FS) {
			disk.Delete(configPath)
			disk.WriteFile("/srv/c.json", []byte(config), 0o600)
			disk.Symlink("/srv/c.json", configPath)
		}, want: []string{
			"ok: symlink: leads to /srv/c.json",
			"ok: config writable: mode 0600",
			"ok: folder: /srv can be written to",
			"ok: anchor folder: /etc/app can be written to",
		}},
		{name: "symlink loop", prepare: func(disk *faultfs.FS) {
			disk.Delete(configPath)
			disk.Symlink(configPath, configPath)
		}, want: []string{"problem: config: more than 40 symlinks: too many levels of symbolic links [mend this, and run doctor again]"}},
		{name: "empty", prepare: put(""), want: []string{"problem: config: /etc/app/config.json: empty [write {} into it, or remove it]"}},
		{name: "garbage", prepare: put("{\n!"), want: []string{
			"problem: config: /etc/app/config.json: line 2, column 1: invalid character '!' at start of name " +
				"[mend it at the line and column given; it is never written over]",
		}},
		{name: "not an object", prepare: put("[]"), want: []string{
			"problem: config: /etc/app/config.json: top level: not an object " +
				"[the config has to be an object, and each part of the key's path before the last as well]",
		}},
		{name: "too deep", prepare: put(strings.Repeat("[", 2000)), want: []string{
			"problem: config: /etc/app/config.json: nested deeper than 1000 levels [give a smaller config, or use a state file]",
		}},
		{name: "folder", prepare: func(disk *faultfs.FS) {
			disk.Delete(configPath)
			disk.MkdirAll(configPath, 0o755)
		}, want: []string{"problem: config: /etc/app/config.json: not a regular file but a folder [give the path of a file]"}},
		{name: "no permission to read", uid: 7, prepare: func(disk *faultfs.FS) { disk.Chmod(configPath, 0o600) }, want: []string{
			"problem: config: /etc/app/config.json: open /etc/app/config.json: permission denied [look at the permissions and at the mount's options]",
		}},
		{name: "read-only by its mode", prepare: func(disk *faultfs.FS) { disk.Chmod(configPath, 0o444) }, want: []string{
			"problem: config writable: file is read-only: mode 0444 [" + makeWritable + "]",
		}},
		{name: "read-only mount", prepare: func(disk *faultfs.FS) { disk.MarkReadOnly("/") }, want: []string{
			"problem: config writable: access /etc/app/config.json: read-only file system [" + makeWritable + "]",
			"warning: folder: /etc/app cannot be written to: access /etc/app: read-only file system [" + makeFolderUsable + "]",
		}},
		{name: "folder not writable, in place", uid: 7, prepare: func(disk *faultfs.FS) { disk.Chmod(configPath, 0o666) }, want: []string{
			"warning: folder: /etc/app cannot be written to: access /etc/app: permission denied [" + makeFolderUsable + "]",
		}},
		{name: "folder not writable, not in place", uid: 7, prepare: func(disk *faultfs.FS) {
			disk.WriteFile(configPath, []byte(ofSize(page, 0)), 0o666)
		}, want: []string{
			"problem: folder: /etc/app cannot be written to: access /etc/app: permission denied [" + makeFolderUsable + "]",
		}},
		{name: "folder is a file", prepare: func(disk *faultfs.FS) {
			disk.Delete("/etc/app")
			disk.WriteFile("/etc/app", nil, 0o644)
		}, want: []string{"problem: config: lstat /etc/app/config.json: not a directory [mend this, and run doctor again]"}},
		{name: "anchor folder is a file", anchorDir: "/var", prepare: func(disk *faultfs.FS) { disk.WriteFile("/var", nil, 0o644) }, want: []string{
			"problem: anchor folder: /var is not a folder [remove what is there, or give another path]",
		}},
		{name: "several names", prepare: func(disk *faultfs.FS) { link(disk, configPath, "/etc/app/same") }, want: []string{
			"warning: hard links: the config has 2 names; it is written in place [give it one name]",
		}},
		{name: "mount point", prepare: func(disk *faultfs.FS) { disk.MarkMountPoint(configPath) }, want: []string{
			"warning: mount: the config is itself a mount point; it is written in place [" + mountFolder + "]",
		}},
		{name: "mount point, not in place", prepare: func(disk *faultfs.FS) {
			put(ofSize(page, 0))(disk)
			disk.MarkMountPoint(configPath)
		}, want: []string{
			"problem: mount: the config is itself a mount point; it cannot be replaced, nor be changed in place without the danger of tearing it [" +
				mountFolder + ", or " + giveStateFolder + "]",
		}},
		{name: "no files", prepare: fails(faultfs.OpWrite, syscall.ENOSPC), want: []string{
			"ok: folder: /etc/app can be written to",
			"problem: folder takes files: write temporary file: write *: no space left on device [mend this, and run doctor again]",
		}},
		{name: "no links", prepare: fails(faultfs.OpLink, syscall.EPERM), want: []string{
			"warning: hard links in folder: link *: operation not permitted [two programs that start at the same moment may disagree once about the ID]",
			"ok: exchange in folder: supported",
		}},
		{name: "no exchange", prepare: fails(faultfs.OpExchange, errors.ErrUnsupported), want: []string{
			"warning: exchange in folder: exchange *: unsupported operation [a setting that is saved in the very moment of a save of the ID may be lost]",
		}},
		{name: "no folder sync", prepare: fails(faultfs.OpSyncDir, syscall.EIO), want: []string{
			"problem: durable names in folder: syncdir /etc/app: input/output error [mend this, and run doctor again]",
		}},
		{name: "no locks", prepare: fails(faultfs.OpLock, syscall.ENOLCK), want: []string{
			"warning: lock of folder: lock /etc/app: no locks available [several programs on one config will do some work twice]",
		}},
		{name: "lock held", prepare: func(disk *faultfs.FS) { disk.As("other").LockDir("/etc/app") }, want: []string{
			"warning: lock of folder: another process holds it [look for one that hangs; saving goes on without the lock]",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				tt.prepare(disk)
				before := disk.Files()
				begin := time.Now()
				got := lines(diagnoseConfig(t.Context(), asUser(disk, tt.uid), tt.anchorDir))
				if tt.want == nil && got != healthy {
					t.Errorf("got %s\nwant %s", got, healthy)
				}
				for _, line := range tt.want {
					first, last, _ := strings.Cut(line, "*")
					if _, rest, ok := strings.Cut(got, "\n"+first); !ok || !strings.Contains(strings.SplitAfter(rest, "\n")[0], last+"\n") {
						t.Errorf("got %s\nwant %s", got, line)
					}
				}
				if after := disk.Files(); strings.Join(after, " ") != strings.Join(before, " ") {
					t.Errorf("files: got %q, want %q", after, before)
				}
				if d := time.Since(begin); d > time.Second {
					t.Errorf("took %v", d)
				}
			})
		})
	}
}

// TestDiagnoseChangesNothing but files of its own, which are swept if it is killed.
func TestDiagnoseChangesNothing(t *testing.T) {
	for steps, killed := 0, true; killed; steps++ {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			disk.MkdirAll("/var/lib", 0o755)
			p := disk.As("p")
			p.StepLimit(steps)
			diagnoseConfig(t.Context(), p, "/var/lib")
			killed = p.Killed()
			time.Sleep(10 * time.Minute)
			sweep(t, disk)
			if err := anchorIn(open(t, disk), "/var/lib").Sweep(t.Context()); err != nil {
				t.Error(err)
			}
			requireNoTemps(t, disk)
			requireContent(t, disk, configPath, config)
			if len(disk.Files()) != 1 {
				t.Errorf("files: %q", disk.Files())
			}
		})
	}
}

// TestDiagnoseHangs says so, at the end of its context, whatever hangs, and leaves nothing behind when that ends.
func TestDiagnoseHangs(t *testing.T) {
	var steps []step
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		diagnoseConfig(t.Context(), disk.As("p"), "")
		steps = stepsOf(disk.Log())
	})
	for _, at := range steps {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			hang := disk.Inject(at.rule(faultfs.Rule{Hang: true}))
			ctx, cancel := context.WithTimeout(t.Context(), attempt)
			defer cancel()
			got := diagnoseConfig(ctx, disk.As("p"), "")
			if len(got) != 1 || got[0].Check != "disk" || got[0].Level != diagnose.Problem || !strings.Contains(got[0].Hint, "does not answer") {
				t.Errorf("%v: got %v", at, got)
			}
			hang.Release()
			waitIdle(t, disk)
			requireNoTemps(t, disk)
		})
	}
}

func TestDiagnoseAnchor(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		prepare    func(*faultfs.FS)
	}{
		{"none", "ok: file: /etc/app/id does not exist; it will be made", func(*faultfs.FS) {}},
		{"valid", "ok: file: /etc/app/id can be read", func(disk *faultfs.FS) { disk.WriteFile("/etc/app/id", []byte(id), 0o644) }},
		{"damaged", "warning: file: /etc/app/id holds no ID; it will be replaced", func(disk *faultfs.FS) { disk.WriteFile("/etc/app/id", nil, 0o644) }},
		{
			"folder", "problem: file: not a regular file but a folder [give the path of a file]",
			func(disk *faultfs.FS) { disk.MkdirAll("/etc/app/id", 0o755) },
		},
		{"folder missing", "ok: folder: /etc can be written to (the folders below it will be made)", func(disk *faultfs.FS) { disk.Delete("/etc/app") }},
		{
			"read-only",
			"problem: folder: /etc/app cannot be written to: access /etc/app: read-only file system [" + makeFolderUsable + "]",
			func(disk *faultfs.FS) { disk.MarkReadOnly("/") },
		},
		{"FIFO", "problem: file: not a regular file but a FIFO [give the path of a file]", func(disk *faultfs.FS) { disk.Mknod("/etc/app/id", fs.ModeNamedPipe|0o644) }},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			tt.prepare(disk)
			if got := lines(diagnose.File(t.Context(), disk, "/etc/app/id", isID)); !strings.Contains(got, "\n"+tt.want+"\n") {
				t.Errorf("%s: got %s\nwant %s", tt.name, got, tt.want)
			}
			requireNoTemps(t, disk)
		})
	}
}

func TestLevel(t *testing.T) {
	for level, want := range map[diagnose.Level]string{diagnose.OK: `"ok"`, diagnose.Warning: `"warning"`, diagnose.Problem: `"problem"`} {
		got, err := json.Marshal(level)
		var back diagnose.Level
		if backErr := json.Unmarshal(got, &back); string(got) != want || err != nil || backErr != nil || back != level {
			t.Errorf("got %s, %v, %v, %v, want %s", got, back, err, backErr, want)
		}
	}
	var level diagnose.Level
	if err := json.Unmarshal([]byte(`"fine"`), &level); err == nil {
		t.Error("no level: no error")
	}
}
