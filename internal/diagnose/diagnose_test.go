package diagnose_test

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/configdisk"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// Hints that occur more than once.
const (
	orStateDir      = ", or keep the ID in a state directory"
	makeWritable    = "make it writable" + orStateDir
	makeDirWritable = "make the directory writable" + orStateDir
	mountDirectory  = "mount its directory instead of the single file"
)

const healthy = `
ok: config: /etc/app/config.json is readable, 36 bytes
ok: config writable: mode 0644
ok: directory: /etc/app is writable
ok: hard links in directory: supported
ok: exchange in directory: supported
ok: durable names in directory: supported
ok: lock of directory: supported
`

func lines(findings []diagnose.Finding) string {
	var b strings.Builder
	b.WriteString("\n")
	for _, f := range findings {
		b.WriteString([]string{"ok", "warning", "problem"}[f.Level] + ": " + f.Check + ": " + f.Detail)
		if f.Hint != "" {
			b.WriteString(" [" + f.Hint + "]")
		}
		b.WriteString("\n")
	}
	return b.String()
}

const page = 4096

var key = jsonedit.Key{"telemetry", "installation_id"}

func diagnoseConfig(ctx context.Context, disk *faultfs.FS, anchorDir string) []diagnose.Finding {
	return diagnose.Config(ctx, disk, configPath, key, path.Join(cmp.Or(anchorDir, "/etc/app"), ".config.json.installation-id"))
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
		want      []string // some lines of the result; nil for those of healthy
	}{
		{name: "healthy", prepare: func(*faultfs.FS) {}},
		{name: "healthy, anchor elsewhere", anchorDir: "/var/lib", prepare: func(disk *faultfs.FS) {
			disk.MkdirAll("/var/lib", 0o755)
		}, want: []string{
			"ok: config writable: mode 0644",
			"ok: anchor directory: /var/lib is writable",
			"ok: exchange in anchor directory: supported",
		}},
		{name: "healthy, anchor elsewhere, directory missing", anchorDir: "/var/lib/app", prepare: func(disk *faultfs.FS) {
			disk.MkdirAll("/var", 0o755)
		}, want: []string{
			"ok: anchor directory: /var is writable; missing directories below it will be created",
		}},
		{name: "missing", prepare: func(disk *faultfs.FS) { disk.Delete("/etc/app") }, want: []string{
			"ok: config: /etc/app/config.json does not exist; it will be created",
			"ok: directory: /etc is writable; missing directories below it will be created",
		}},
		{name: "symlink", prepare: func(disk *faultfs.FS) {
			disk.Delete(configPath)
			disk.WriteFile("/srv/c.json", []byte(config), 0o600)
			disk.Symlink("/srv/c.json", configPath)
		}, want: []string{
			"ok: symlink: points to /srv/c.json",
			"ok: config writable: mode 0600",
			"ok: directory: /srv is writable",
			"ok: anchor directory: /etc/app is writable",
		}},
		{name: "symlink loop", prepare: func(disk *faultfs.FS) {
			disk.Delete(configPath)
			disk.Symlink(configPath, configPath)
		}, want: []string{"problem: config: more than 40 symlinks: too many levels of symbolic links [fix this, and run doctor again]"}},
		{name: "empty", prepare: put(""), want: []string{"problem: config: /etc/app/config.json: empty [write {} into it, or remove it]"}},
		{name: "garbage", prepare: put("{\n!"), want: []string{
			"problem: config: /etc/app/config.json: line 2, column 1: invalid character '!' at start of name " +
				"[correct it at this line and column; a file with a syntax error is never overwritten]",
		}},
		{name: "not an object", prepare: put("[]"), want: []string{
			"problem: config: /etc/app/config.json: top level: not an object " +
				"[the config must be a JSON object, and so must each part of the key's path before the last]",
		}},
		{name: "too deep", prepare: put(strings.Repeat("[", 2000)), want: []string{
			"problem: config: /etc/app/config.json: nested deeper than 1000 levels [use a smaller config" + orStateDir + "]",
		}},
		{name: "directory", prepare: func(disk *faultfs.FS) {
			disk.Delete(configPath)
			disk.MkdirAll(configPath, 0o755)
		}, want: []string{"problem: config: /etc/app/config.json: not a regular file but a directory [choose the path of a regular file]"}},
		{name: "no permission to read", uid: 7, prepare: func(disk *faultfs.FS) { disk.Chmod(configPath, 0o600) }, want: []string{
			"problem: config: /etc/app/config.json: open /etc/app/config.json: permission denied [check the permissions and the mount options]",
		}},
		{name: "read-only by its mode", prepare: func(disk *faultfs.FS) { disk.Chmod(configPath, 0o444) }, want: []string{
			"problem: config writable: file is read-only: mode 0444 [" + makeWritable + "]",
		}},
		{name: "read-only mount", prepare: func(disk *faultfs.FS) { disk.MarkReadOnly("/") }, want: []string{
			"problem: config writable: access /etc/app/config.json: read-only file system [" + makeWritable + "]",
			"warning: directory: /etc/app is not writable: access /etc/app: read-only file system [" + makeDirWritable + "]",
		}},
		{name: "directory not writable, in place", uid: 7, prepare: func(disk *faultfs.FS) { disk.Chmod(configPath, 0o666) }, want: []string{
			"warning: directory: /etc/app is not writable: access /etc/app: permission denied [" + makeDirWritable + "]",
		}},
		{name: "directory not writable, not in place", uid: 7, prepare: func(disk *faultfs.FS) {
			disk.WriteFile(configPath, []byte(ofSize(page, 0)), 0o666)
		}, want: []string{
			"problem: directory: /etc/app is not writable: access /etc/app: permission denied [" + makeDirWritable + "]",
		}},
		{name: "directory is a file", prepare: func(disk *faultfs.FS) {
			disk.Delete("/etc/app")
			disk.WriteFile("/etc/app", nil, 0o644)
		}, want: []string{"problem: config: lstat /etc/app/config.json: not a directory [fix this, and run doctor again]"}},
		{name: "anchor directory is a file", anchorDir: "/var", prepare: func(disk *faultfs.FS) { disk.WriteFile("/var", nil, 0o644) }, want: []string{
			"problem: anchor directory: /var is not a directory [remove it, or choose another path]",
		}},
		{name: "several names", prepare: func(disk *faultfs.FS) { disk.Link(configPath, "/etc/app/same") }, want: []string{
			"warning: hard links: the config has 2 hard links; it is written in place [remove the others]",
		}},
		{name: "mount point", prepare: func(disk *faultfs.FS) { disk.MarkMountPoint(configPath) }, want: []string{
			"warning: mount: the config itself is a mount point; it is written in place [" + mountDirectory + "]",
		}},
		{name: "mount point, not in place", prepare: func(disk *faultfs.FS) {
			put(ofSize(page, 0))(disk)
			disk.MarkMountPoint(configPath)
		}, want: []string{
			"problem: mount: the config itself is a mount point; it cannot be replaced, or changed in place without the risk of tearing it [" +
				mountDirectory + orStateDir + "]",
		}},
		{name: "no files", prepare: fails(faultfs.OpWrite, syscall.ENOSPC), want: []string{
			"ok: directory: /etc/app is writable",
			"problem: new files in directory: write temporary file: write *: no space left on device [fix this, and run doctor again]",
		}},
		{name: "no links", prepare: fails(faultfs.OpLink, syscall.EPERM), want: []string{
			"warning: hard links in directory: link *: operation not permitted [two programs that start at the same moment may disagree once about the ID]",
			"ok: exchange in directory: supported",
		}},
		{name: "no exchange", prepare: fails(faultfs.OpExchange, errors.ErrUnsupported), want: []string{
			"warning: exchange in directory: exchange *: unsupported operation [a setting may be lost that is saved at the very moment the ID is saved]",
		}},
		{name: "no directory sync", prepare: fails(faultfs.OpSyncDir, syscall.EIO), want: []string{
			"problem: durable names in directory: syncdir /etc/app: input/output error [fix this, and run doctor again]",
		}},
		{name: "no locks", prepare: fails(faultfs.OpLock, syscall.ENOLCK), want: []string{
			"warning: lock of directory: lock /etc/app: no locks available [programs that share a config do some work twice]",
		}},
		{name: "lock held", prepare: func(disk *faultfs.FS) { disk.As("other").LockDir("/etc/app") }, want: []string{
			"warning: lock of directory: another process holds it [look for a process that hangs; saving goes on without the lock]",
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

// TestDiagnoseChangesNothing checks that only temporary files are written,
// which are swept if the diagnosis is killed.
func TestDiagnoseChangesNothing(t *testing.T) {
	for steps, killed := 0, true; killed; steps++ {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			disk.MkdirAll("/var/lib", 0o755)
			p := disk.As("p")
			p.StepLimit(steps)
			diagnoseConfig(t.Context(), p, "/var/lib")
			killed = p.Killed()
			time.Sleep(10 * time.Minute)
			for _, name := range []string{configPath, "/var/lib/.config.json.installation-id"} {
				if err := replace.Sweep(t.Context(), disk, name); err != nil {
					t.Error(err)
				}
			}
			requireNoTemps(t, disk)
			requireContent(t, disk, configPath, config)
			if len(disk.Files()) != 1 {
				t.Errorf("files: %q", disk.Files())
			}
		})
	}
}

// TestDiagnoseHangs lets each operation hang. The diagnosis says so when its
// context ends, and leaves nothing behind once the operation is over.
func TestDiagnoseHangs(t *testing.T) {
	var steps []configdisk.Step
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		diagnoseConfig(t.Context(), disk.As("p"), "")
		steps = configdisk.Steps(disk)
	})
	for _, at := range steps {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			hang := disk.Inject(at.Rule(faultfs.Rule{Hang: true}))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			got := diagnoseConfig(ctx, disk.As("p"), "")
			if len(got) != 1 || got[0].Check != "disk" || got[0].Level != diagnose.Problem || !strings.Contains(got[0].Hint, "does not respond") {
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
		{"none", "ok: file: /etc/app/id does not exist; it will be created", func(*faultfs.FS) {}},
		{"valid", "ok: file: /etc/app/id is readable", func(disk *faultfs.FS) { disk.WriteFile("/etc/app/id", []byte(id), 0o644) }},
		{"damaged", "warning: file: /etc/app/id holds no ID; it will be replaced", func(disk *faultfs.FS) { disk.WriteFile("/etc/app/id", nil, 0o644) }},
		{
			"directory", "problem: file: not a regular file but a directory [choose the path of a regular file]",
			func(disk *faultfs.FS) { disk.MkdirAll("/etc/app/id", 0o755) },
		},
		{"directory missing", "ok: directory: /etc is writable; missing directories below it will be created", func(disk *faultfs.FS) { disk.Delete("/etc/app") }},
		{
			"read-only",
			"problem: directory: /etc/app is not writable: access /etc/app: read-only file system [" + makeDirWritable + "]",
			func(disk *faultfs.FS) { disk.MarkReadOnly("/") },
		},
		{"FIFO", "problem: file: not a regular file but a FIFO [choose the path of a regular file]", func(disk *faultfs.FS) { disk.Mknod("/etc/app/id", fs.ModeNamedPipe|0o644) }},
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
