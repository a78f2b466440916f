package replace_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

func did(disk *faultfs.FS, op faultfs.Op) bool {
	return count(disk, func(e faultfs.Entry) bool { return e.Op == op }) > 0
}

func TestCreateFile(t *testing.T) {
	const name = "/etc/app/new"
	for _, tt := range []struct {
		name    string
		rule    faultfs.Rule
		exists  bool
		want    error
		renamed bool
	}{
		{name: "new"},
		{name: "exists", exists: true, want: fs.ErrExist},
		{name: "linked, and the answer lost", rule: faultfs.Rule{Op: faultfs.OpLink, AfterErr: syscall.EEXIST, Times: 1}},
		{name: "no links", rule: faultfs.Rule{Op: faultfs.OpLink, Err: syscall.EPERM}, renamed: true},
		{name: "no links, exists", rule: faultfs.Rule{Op: faultfs.OpLink, Err: syscall.EPERM}, exists: true, want: fs.ErrExist},
		{name: "no links, says EIO", rule: faultfs.Rule{Op: faultfs.OpLink, Err: syscall.EIO}, renamed: true},
		{name: "no links, says something unknown", rule: faultfs.Rule{Op: faultfs.OpLink, Err: errors.New("?")}, renamed: true},
		{name: "no links, says EIO, exists", rule: faultfs.Rule{Op: faultfs.OpLink, Err: syscall.EIO}, exists: true, want: fs.ErrExist},
		{name: "linked, and the answer EIO", rule: faultfs.Rule{Op: faultfs.OpLink, AfterErr: syscall.EIO}},
		{name: "link fails once", rule: faultfs.Rule{Op: faultfs.OpLink, Err: syscall.EIO, Times: 1}, want: syscall.EIO},
		{name: "sync fails", rule: faultfs.Rule{Op: faultfs.OpSync, Err: syscall.EIO}, want: syscall.EIO},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			if tt.exists {
				disk.WriteFile(name, []byte("old"), 0o644)
			}
			if tt.rule.Op != "" {
				disk.Inject(tt.rule)
			}
			disk.ResetLog()
			if err := replace.Create(t.Context(), disk, name, []byte("new"), replace.Access{Perm: 0o644}); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
			if got := did(disk, faultfs.OpRename); got != tt.renamed {
				t.Errorf("%s: renamed: got %v, want %v", tt.name, got, tt.renamed)
			}
			switch {
			case tt.exists:
				requireContent(t, disk, name, "old")
			case tt.want == nil:
				requireContent(t, disk, name, "new")
			default:
				if slices.Contains(disk.Files(), name) {
					t.Errorf("%s: was created", tt.name)
				}
			}
			requireNoTemps(t, disk)
		})
	}
}

// TestCreateLock checks that the lock is taken only where it replaces links, and
// not by a caller that holds it.
func TestCreateLock(t *testing.T) {
	for _, links := range []bool{true, false} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			if !links {
				disk.Inject(faultfs.Rule{Op: faultfs.OpLink, Err: syscall.EPERM})
			}
			disk.ResetLog()
			if err := replace.CreateLocked(t.Context(), disk, "/etc/app/a", nil, replace.Access{Perm: 0o644}); err != nil || did(disk, faultfs.OpLock) {
				t.Errorf("links %v, locked: got %v, lock taken: %v", links, err, did(disk, faultfs.OpLock))
			}
			if err := replace.Create(t.Context(), disk, "/etc/app/b", nil, replace.Access{Perm: 0o644}); err != nil || did(disk, faultfs.OpLock) == links {
				t.Errorf("links %v: got %v, lock taken: %v", links, err, did(disk, faultfs.OpLock))
			}
		})
	}
}

func TestOverwrite(t *testing.T) {
	for _, want := range []error{nil, syscall.EIO} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			content := "new"
			if want != nil {
				content = config
				disk.Inject(faultfs.Rule{Op: faultfs.OpRename, Err: want})
			}
			err := replace.Overwrite(t.Context(), disk, configPath, []byte("new"), replace.Access{Perm: 0o600})
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("got %v, want %v", err, want)
			}
			requireContent(t, disk, configPath, content)
			requireNoTemps(t, disk)
		})
	}
}

// TestMakeDirs is about directories that exist, and about errors.
func TestMakeDirs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		dir   string
		rule  faultfs.Rule
		want  error
		mkdir bool
	}{
		{"exists", "/etc/app", faultfs.Rule{Op: faultfs.OpLstat}, nil, false},
		{"exists, parent cannot be synced", "/etc/app", faultfs.Rule{Op: faultfs.OpSyncDir, Err: syscall.EIO}, syscall.EIO, false},
		{"exists, parent may not be synced", "/etc/app", faultfs.Rule{Op: faultfs.OpSyncDir, Err: syscall.EACCES}, nil, false},
		{"new", "/etc/app/a/b", faultfs.Rule{Op: faultfs.OpLstat}, nil, true},
		{"cannot be created", "/etc/app/a/b", faultfs.Rule{Op: faultfs.OpMkdir, Err: syscall.ENOSPC}, syscall.ENOSPC, true},
		{"created by another process", "/etc/app/a", faultfs.Rule{Op: faultfs.OpMkdir, AfterErr: syscall.EEXIST}, nil, true},
		{"unknown", "/etc/app/a", faultfs.Rule{Op: faultfs.OpLstat, Name: "a", Err: syscall.EIO}, syscall.EIO, false},
		{"root", "/", faultfs.Rule{Op: faultfs.OpSyncDir, Err: syscall.EIO}, nil, false},
		{"no root", "/", faultfs.Rule{Op: faultfs.OpLstat, Err: fs.ErrNotExist}, fs.ErrNotExist, false},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			disk.Inject(tt.rule)
			disk.ResetLog()
			err := replace.MakeDirs(t.Context(), disk, faultfs.Abs(tt.dir))
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
			if got := did(disk, faultfs.OpMkdir); got != tt.mkdir {
				t.Errorf("%s: mkdir: got %v, want %v", tt.name, got, tt.mkdir)
			}
			if tt.want == nil {
				if _, err := disk.Lstat(tt.dir); err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
			}
		})
	}
}

// TestNotRegular reads nothing but regular files, and says what is there.
func TestNotRegular(t *testing.T) {
	for kind, mode := range map[string]fs.FileMode{
		"a FIFO": fs.ModeNamedPipe, "a socket": fs.ModeSocket, "a device": fs.ModeDevice, "a directory": fs.ModeDir,
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			if mode == fs.ModeDir {
				disk.MkdirAll("/etc/app/x", 0o755)
			} else {
				disk.Mknod("/etc/app/x", mode|0o644)
			}
			_, err := replace.Read(t.Context(), disk, "/etc/app/x")
			if !errors.Is(err, replace.ErrNotRegular) || !strings.HasPrefix(err.Error(), "not a regular file but a") {
				t.Errorf("%s: got %v", kind, err)
			}
			if mode != fs.ModeSocket && err.Error() != "not a regular file but "+kind {
				t.Errorf("got %v, want %s", err, kind)
			}
		})
	}
	if !errors.Is(replace.ErrReadOnly, fs.ErrPermission) || errors.Is(replace.ErrReadOnly, fs.ErrExist) {
		t.Error("ErrReadOnly is not an fs.ErrPermission, or something else too")
	}
}
