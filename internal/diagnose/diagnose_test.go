package diagnose_test

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
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
ok: disk lasts: an ID will be there at the next start
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
	return faultfs.Slashed(b.String())
}

const page = 4096

var keys = []jsonedit.Key{{"telemetry", "installation_id"}, {"telemetry", "enabled"}}

// location is where the ID is kept. The directory of the anchor is that of the
// config if anchorDir is empty.
func location(anchorDir string) idstore.Location {
	l := idstore.Location{ConfigPath: faultfs.Abs(configPath), Key: keys[0], EnabledKey: keys[1]}
	if anchorDir != "" {
		l.AnchorDir = faultfs.Abs(anchorDir)
	}
	return l
}

func diagnoseConfig(ctx context.Context, disk *faultfs.FS, anchorDir string) []diagnose.Finding {
	return diagnoseAt(ctx, disk, location(anchorDir))
}

func diagnoseAt(ctx context.Context, disk *faultfs.FS, l idstore.Location) []diagnose.Finding {
	findings, err := l.Diagnose(ctx, disk)
	if err != nil {
		panic(err)
	}
	return findings
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
		{name: "symlink of another user", prepare: func(disk *faultfs.FS) {
			disk.Delete(configPath)
			disk.WriteFile("/srv/c.json", []byte(config), 0o600)
			disk.Symlink("/srv/c.json", configPath)
			disk.Lchown(configPath, 7, 7)
		}, want: []string{
			"problem: config: symlink /etc/app/config.json belongs to user 7, and what it leads to belongs to user 0: not followed " +
				"[name the target itself, or let root or the owner of the target own the symlink (chown -h)]",
		}},
		{name: "planted anchor", prepare: func(disk *faultfs.FS) {
			disk.Chmod("/etc/app", fs.ModeSticky|0o777)
			disk.WriteFile(anchorPath, []byte(id), 0o644)
			disk.Chown(anchorPath, 7, 7)
		}, want: []string{
			"warning: anchor: /etc/app/.config.json.installation-id: it belongs to user 7, in a directory where everybody may put files: " +
				"may have been planted [remove it, or keep the ID in a directory of your own (--state-dir)]",
		}},
		{name: "closed to the host", prepare: func(disk *faultfs.FS) {
			disk.Chown("/etc/app", 7, 7)
			disk.Chmod(configPath, 0o600)
			disk.WriteFile(anchorPath, []byte(id), 0o600)
		}, want: []string{
			"warning: config: /etc/app/config.json is closed to user 7, to whom /etc/app belongs [chown 7:7 /etc/app/config.json]",
		}},
		{name: "anchor closed to the host", prepare: func(disk *faultfs.FS) {
			disk.Chown(configPath, 7, 7)
			disk.WriteFile(anchorPath, []byte(id), 0o600)
		}, want: []string{
			"warning: anchor: /etc/app/.config.json.installation-id is closed to user 7, to whom /etc/app/config.json belongs " +
				"[chown 7:7 /etc/app/.config.json.installation-id]",
		}},
		{name: "record closed to the host", prepare: func(disk *faultfs.FS) {
			disk.Chown(configPath, 7, 7)
			disk.WriteFile("/etc/app/.config.json.telemetry-denied", []byte(`{"telemetry": {"by": "page"}}`), 0o600)
		}, want: []string{
			"warning: record: /etc/app/.config.json.telemetry-denied is closed to user 7, to whom /etc/app/config.json belongs " +
				"[chown 7:7 /etc/app/.config.json.telemetry-denied]",
		}},
		{name: "directory for all", prepare: func(disk *faultfs.FS) { disk.Chmod("/etc/app", 0o777) }, want: []string{
			"warning: directory: everybody may write in /etc/app, and replace what lies there [chmod o-w /etc/app]",
		}},
		{name: "read-only by its mode, with an ID", prepare: func(disk *faultfs.FS) {
			disk.WriteFile(configPath, []byte(configdisk.WithID(config, "0b8f7c52-9d1e-4f6a-8a35-c1de2f90ab47")), 0o444)
		}, want: []string{"warning: config writable: file is read-only: mode 0444 [" + makeWritable + "]"}},
		{name: "empty", prepare: put(""), want: []string{"problem: config: /etc/app/config.json: empty [write {} into it, or remove it]"}},
		{name: "garbage", prepare: put("{\n!"), want: []string{
			"problem: config: /etc/app/config.json: line 2, column 1: invalid character '!' at start of name " +
				"[correct it at this line and column; a file with a syntax error is never overwritten]",
		}},
		{name: "not an object", prepare: put("[]"), want: []string{
			"problem: config: /etc/app/config.json: top level: not an object " +
				"[the config must be a JSON object, and so must each part of the key's path before the last]",
		}},
		{name: "consent twice", prepare: put(`{"telemetry": {"enabled": true, "enable\u0064": false}}`), want: []string{
			"problem: config: /etc/app/config.json: line 1, column 33: duplicate member \"enabled\" " +
				"[correct it at this line and column; a file with a syntax error is never overwritten]",
		}},
		{name: "plain denial", prepare: put(`{"telemetry": "off"}`), want: []string{
			"warning: config: /etc/app/config.json turns telemetry off with a plain value; only the anchor holds the ID " +
				"[for a copy of the ID in the config, put an object there]",
			"ok: directory: /etc/app is writable",
		}},
		{name: "null", prepare: put(`{"telemetry": null}`), want: []string{"ok: config writable: mode 0644"}},
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
			"problem: directory: /etc/app is not writable: access /etc/app: read-only file system [" + makeDirWritable + "]",
		}},
		{name: "directory not writable, in place", uid: 7, prepare: func(disk *faultfs.FS) { disk.Chown(configPath, 7, 7) }, want: []string{
			"warning: directory: /etc/app is not writable: access /etc/app: permission denied [" + makeDirWritable + "]",
		}},
		{name: "directory not writable, config of another user", uid: 7, prepare: func(disk *faultfs.FS) { disk.Chmod(configPath, 0o666) }, want: []string{
			"problem: directory: /etc/app is not writable: access /etc/app: permission denied [" + makeDirWritable + "]",
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
			"warning: anchor directory: /var is not a directory [remove it, or choose another path]",
		}},
		{name: "mounted elsewhere", prepare: func(disk *faultfs.FS) { disk.MarkMountedElsewhere(configPath, "/config.json of process 7") }, want: []string{
			"warning: mount elsewhere: the config is also mounted by itself at /config.json of process 7; it is written in place [mount its directory there instead of the single file]",
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
			"warning: mount: the config itself is a mount point; it cannot be replaced, or changed in place without the risk of tearing it [" +
				mountDirectory + orStateDir + "]",
		}},
		{name: "no files", prepare: fails(faultfs.OpWrite, syscall.ENOSPC), want: []string{
			"ok: directory: /etc/app is writable",
			"problem: new files in directory: write temporary file: write *: no space left on device [free space on this disk, or keep the ID in a state directory]",
		}},
		{name: "no links", prepare: fails(faultfs.OpLink, syscall.EPERM), want: []string{
			"warning: hard links in directory: link *: operation not permitted [two programs that start at the same moment may disagree once about the ID]",
			"ok: exchange in directory: supported",
		}},
		{name: "access says EIO", prepare: fails(faultfs.OpCheckWritable, syscall.EIO), want: []string{
			"ok: config writable: mode 0644", "ok: directory: /etc/app is writable",
		}},
		{name: "no links, says EIO", prepare: fails(faultfs.OpLink, syscall.EIO), want: []string{
			"warning: hard links in directory: link *: input/output error [two programs that start at the same moment may disagree once about the ID]",
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
		if tt.name == "directory is a file" && runtime.GOOS == "windows" {
			continue // Windows says that the file does not exist
		}
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
				requireAgreement(t, asUser(disk, tt.uid), location(tt.anchorDir), got)
			})
		})
	}
}

// requireAgreement checks that a start keeps an ID if and only if the diagnosis
// has found no problem.
func requireAgreement(t *testing.T, disk *faultfs.FS, l idstore.Location, findings string) {
	t.Helper()
	store, err := l.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := store.Load(t.Context())
	if errors.Is(err, keeper.ErrNotFound) {
		rec, err = store.Save(t.Context(), installid.New())
	}
	if kept := !rec.ID.IsZero() && !rec.Unread; kept == strings.Contains(findings, "\nproblem: ") {
		t.Errorf("a start keeps an ID: %v (%v); the diagnosis:%s", kept, err, findings)
	}
}

// TestDiagnoseAgrees lets everything fail that a start or a diagnosis does, each
// alone and every time. Both judge alike.
func TestDiagnoseAgrees(t *testing.T) {
	for _, op := range faultfs.Ops() {
		for _, name := range []string{"", "config.json", ".config.json.installation-id", "*.tmp", "app"} {
			switch op {
			case faultfs.OpLink, faultfs.OpRename, faultfs.OpExchange:
				if strings.HasPrefix(name, ".config") || name == "config.json" {
					continue // a diagnosis does not touch the files themselves
				}
			}
			for _, errno := range []error{syscall.EIO, syscall.EACCES, syscall.EROFS, syscall.ENOSPC, syscall.EINVAL} {
				if op == faultfs.OpSync && errno != syscall.EIO && errno != syscall.ENOSPC {
					continue // does not happen with a file that may be written
				}
				for _, anchorDir := range []string{"", "/var/lib/app"} {
					bubble(t, func(t *testing.T, disk *faultfs.FS) {
						disk.MkdirAll("/var/lib/app", 0o755)
						disk.Inject(faultfs.Rule{Op: op, Name: name, Err: errno})
						l := location(anchorDir)
						requireAgreement(t, disk.As("p"), l, lines(diagnoseAt(t.Context(), disk, l)))
						if t.Failed() {
							t.Fatalf("%s %s fails with %v, anchor directory %q", op, name, errno, anchorDir)
						}
					})
				}
			}
		}
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
		{
			"planted consent",
			"warning: record: /etc/app/consent.json: it belongs to user 7, in a directory where everybody may put files: may have been planted " +
				"[remove it, or keep the ID in a directory of your own (--state-dir)]",
			func(disk *faultfs.FS) {
				disk.Chmod("/etc/app", fs.ModeSticky|0o777)
				disk.WriteFile("/etc/app/consent.json", []byte("{}"), 0o644)
				disk.Chown("/etc/app/consent.json", 7, 7)
			},
		},
		{"FIFO", "problem: file: not a regular file but a FIFO [choose the path of a regular file]", func(disk *faultfs.FS) { disk.Mknod("/etc/app/id", fs.ModeNamedPipe|0o644) }},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			tt.prepare(disk)
			if got := lines(diagnoseAt(t.Context(), disk, idstore.Location{StateFile: faultfs.Abs("/etc/app/id")})); !strings.Contains(got, "\n"+tt.want+"\n") {
				t.Errorf("%s: got %s\nwant %s", tt.name, got, tt.want)
			}
			requireNoTemps(t, disk)
		})
	}
}
