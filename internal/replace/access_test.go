package replace_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestAccess creates files and directories as one user for another. The user
// has the group of the same number, and those of the row.
func TestAccess(t *testing.T) {
	type owner struct{ uid, gid int }
	const (
		root, host, agent, team = 0, 1000, 2000, 3000
		sticky, setgid          = fs.ModeSticky, fs.ModeSetgid
	)
	none := errors.New("chown does nothing")
	for _, tt := range []struct {
		name     string
		uid      int
		groups   []int
		umask    fs.FileMode
		dir      owner
		mode     fs.FileMode // of the directory
		chown    error       // from every call
		perm     fs.FileMode // of the file; 0666 if zero
		want     owner
		wantMode fs.FileMode // of the file; zero if it is not created
		wantDir  fs.FileMode // of a directory; zero if it is not created
	}{
		// Nobody else is served: the umask decides.
		{name: "own", uid: host, umask: 0o077, dir: owner{host, host}, mode: 0o755, want: owner{host, host}, wantMode: 0o600, wantDir: 0o700},
		{name: "own, of root", uid: root, umask: 0o027, dir: owner{root, root}, mode: 0o755, want: owner{root, root}, wantMode: 0o640, wantDir: 0o750},
		{name: "own, writable for all", uid: host, umask: 0o077, dir: owner{host, host}, mode: 0o777, want: owner{host, host}, wantMode: 0o666, wantDir: 0o777},
		{name: "root for the host, writable for all", uid: root, umask: 0o077, dir: owner{host, host}, mode: 0o777, want: owner{host, host}, wantMode: 0o660, wantDir: 0o770},
		{name: "own, another of my groups", uid: host, groups: []int{team}, umask: 0o077, dir: owner{host, team}, mode: 0o755,
			want: owner{host, host}, wantMode: 0o600, wantDir: 0o700},
		{name: "sticky", uid: host, umask: 0o077, dir: owner{root, root}, mode: sticky | 0o777, want: owner{host, host}, wantMode: 0o600, wantDir: 0o700},
		{name: "sticky, as root", uid: root, umask: 0o077, dir: owner{host, host}, mode: sticky | 0o777, want: owner{root, root}, wantMode: 0o600, wantDir: 0o700},

		// Root gives it away.
		{name: "root for the host", uid: root, umask: 0o077, dir: owner{host, host}, mode: 0o755, want: owner{host, host}, wantMode: 0o600, wantDir: 0o700},
		{name: "root for the host, umask 022", uid: root, umask: 0o022, dir: owner{host, host}, mode: 0o755, want: owner{host, host}, wantMode: 0o644, wantDir: 0o755},
		{name: "root for a group that writes", uid: root, umask: 0o077, dir: owner{root, team}, mode: 0o770, want: owner{root, team}, wantMode: 0o660, wantDir: 0o770},
		{name: "root for a group that reads", uid: root, umask: 0o077, dir: owner{root, team}, mode: 0o750, want: owner{root, team}, wantMode: 0o640, wantDir: 0o750},
		{name: "root for the host and a group", uid: root, umask: 0o077, dir: owner{host, team}, mode: setgid | 0o775, want: owner{host, team}, wantMode: 0o660, wantDir: setgid | 0o770},
		{name: "root, a secret", uid: root, umask: 0o022, dir: owner{host, team}, mode: 0o775, perm: 0o600, want: owner{host, team}, wantMode: 0o600, wantDir: 0o775},

		// Others cannot, and let those use it who use the directory.
		{name: "agent in a group that writes", uid: agent, groups: []int{team}, umask: 0o077, dir: owner{host, team}, mode: 0o770,
			want: owner{agent, team}, wantMode: 0o660, wantDir: 0o770},
		{name: "agent in a group, setgid", uid: agent, groups: []int{team}, umask: 0o077, dir: owner{host, team}, mode: setgid | 0o770,
			want: owner{agent, team}, wantMode: 0o660, wantDir: setgid | 0o770},
		{name: "agent in a group, directory of root", uid: agent, groups: []int{team}, umask: 0o077, dir: owner{root, team}, mode: 0o770,
			want: owner{agent, team}, wantMode: 0o660, wantDir: 0o770},
		{name: "agent, writable for all", uid: agent, umask: 0o077, dir: owner{host, host}, mode: 0o777, want: owner{agent, agent}, wantMode: 0o666, wantDir: 0o777},
		{name: "agent, writable for all, a secret", uid: agent, umask: 0o077, dir: owner{host, host}, mode: 0o777, perm: 0o600,
			want: owner{agent, agent}, wantMode: 0o600, wantDir: 0o777},

		// Where chown does not work.
		{name: "root without chown, writable for all", uid: root, umask: 0o077, dir: owner{host, host}, mode: 0o777, chown: syscall.EPERM,
			want: owner{root, root}, wantMode: 0o666, wantDir: 0o777},
		{name: "root without chown, readable by the umask", uid: root, umask: 0o022, dir: owner{host, host}, mode: 0o755, chown: syscall.EIO,
			want: owner{root, root}, wantMode: 0o644, wantDir: 0o755},
		{name: "root without chown, closed", uid: root, umask: 0o077, dir: owner{host, host}, mode: 0o755, chown: syscall.EPERM},
		{name: "root without chown, a secret", uid: root, umask: 0o077, dir: owner{host, host}, mode: 0o777, chown: none, perm: 0o600,
			want: owner{root, root}, wantMode: 0o600, wantDir: 0o777},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				const dir, file, sub = "/srv/app", "/srv/app/new", "/srv/app/a/b"
				disk.MkdirAll(dir, tt.mode)
				disk.Chown(dir, tt.dir.uid, tt.dir.gid)
				p := disk.As("p")
				p.SetUser(tt.uid, tt.uid, tt.groups...)
				p.SetUmask(tt.umask)
				if tt.chown != nil {
					disk.Inject(faultfs.Rule{Op: faultfs.OpChown, Err: tt.chown})
				}
				check := func(what, name string, err error, want fs.FileMode) {
					t.Helper()
					got, lookErr := disk.Attributes(name)
					switch {
					case tt.wantDir == 0:
						if err == nil || lookErr == nil || !errors.Is(err, tt.chown) {
							t.Errorf("%s: got %+v, %v, want none, and %v", what, got, err, tt.chown)
						}
					case err != nil || lookErr != nil:
						t.Errorf("%s: got %v, %v", what, err, lookErr)
					case got.Mode&^fs.ModeDir != want || (owner{got.UID, got.GID}) != tt.want:
						t.Errorf("%s: got %v of %d:%d, want %v of %v", what, got.Mode, got.UID, got.GID, want, tt.want)
					}
				}
				access := replace.Access{Perm: 0o666}
				if tt.perm != 0 {
					access.Perm, access.Secret = tt.perm, true
				}
				check("create", file, replace.Create(t.Context(), p, file, []byte("new"), access), tt.wantMode)
				err := replace.Overwrite(t.Context(), p, file, []byte("newer"), access)
				check("overwrite", file, err, tt.wantMode)
				if s, err := replace.Read(t.Context(), p, file); err == nil {
					s.Close()
					check("replace", file, s.Replace(t.Context(), []byte("newest"), access), tt.wantMode)
				}
				check("directories", sub, replace.MakeDirs(t.Context(), p, sub), tt.wantDir)
				requireNoTemps(t, disk)
				if entries, err := disk.ReadDir(dir); err != nil || len(entries) > 2 {
					t.Errorf("got %q, %v", entries, err)
				}
			})
		})
	}
}

// TestAccessLike is about files beside a config, which has its owner in a
// directory of somebody else.
func TestAccessLike(t *testing.T) {
	for _, tt := range []struct {
		name       string
		uid, gid   int // of the process
		config     fs.FileMode
		umask      fs.FileMode
		uid2, gid2 int // of the config
		perm       fs.FileMode
		want       fs.FileMode
		wantUID    int
		wantGID    int
		closed     bool
	}{
		{"root, private config", 0, 0, 0o600, 0o022, 1000, 1000, 0o666, 0o600, 1000, 1000, false},
		{"root, config that a group reads", 0, 0, 0o640, 0o077, 0, 1000, 0o666, 0o640, 0, 1000, false},
		{"root, a secret", 0, 0, 0o664, 0o022, 1000, 1000, 0o600, 0o600, 1000, 1000, false},
		{"member of the group", 2000, 1000, 0o660, 0o077, 1000, 1000, 0o666, 0o640, 2000, 1000, false},
		{"stranger", 2000, 2000, 0o664, 0o077, 1000, 1000, 0o666, 0o604, 2000, 2000, false},
		{"root without chown, private config", 0, 0, 0o600, 0o022, 1000, 1000, 0o600, 0, 0, 0, true},
		{"root without chown, readable config", 0, 0, 0o644, 0o077, 1000, 1000, 0o644, 0o604, 0, 0, false},
		{"stranger, a secret", 2000, 2000, 0o664, 0o022, 1000, 1000, 0o600, 0o600, 2000, 2000, false},
		{"stranger whom an access list admits", 2000, 2000, 0o640, 0o022, 1000, 1000, 0o666, 0, 0, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				disk.Chmod(configPath, tt.config)
				disk.Chown(configPath, tt.uid2, tt.gid2)
				disk.Chmod("/etc/app", 0o777)
				info, err := disk.Lstat(configPath)
				if err != nil {
					t.Fatal(err)
				}
				p := disk.As("p")
				p.SetUser(tt.uid, tt.gid)
				p.SetUmask(tt.umask)
				if strings.HasPrefix(tt.name, "root without chown") {
					disk.Inject(faultfs.Rule{Op: faultfs.OpChown, Err: syscall.EPERM})
				}
				access := replace.Access{Perm: tt.perm, Like: info, Secret: strings.HasSuffix(tt.name, "secret")}
				err = replace.Create(t.Context(), p, "/etc/app/new", nil, access)
				got, lookErr := disk.Attributes("/etc/app/new")
				if tt.closed {
					if !errors.Is(err, syscall.EPERM) || lookErr == nil {
						t.Errorf("got %v, %+v", err, got)
					}
					return
				}
				if err != nil || got.Mode != tt.want || got.UID != tt.wantUID || got.GID != tt.wantGID {
					t.Errorf("got %v, %+v, want %v of %d:%d", err, got, tt.want, tt.wantUID, tt.wantGID)
				}
			})
		})
	}
}
