package replace_test

import (
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestForeignLinks follows a symlink only if it belongs to root, to the user of
// the process, or to the owner of what it leads to.
func TestForeignLinks(t *testing.T) {
	const root, host, agent = 0, 1000, 2000
	const dir, target = "/srv/app", "/secret/c.json"
	for _, tt := range []struct {
		name    string
		uid     int // of the process
		links   map[string]string
		owner   int      // of the links
		rooted  []string // links of root
		target  int      // the owner of the target
		missing bool     // there is no target
		allowed bool
	}{
		{name: "link of root", uid: host, links: map[string]string{"config.json": target}, owner: root, target: host, allowed: true},
		{name: "own link", uid: agent, links: map[string]string{"config.json": target}, owner: agent, target: agent, allowed: true},
		{name: "link of the target's owner", uid: root, links: map[string]string{"config.json": target}, owner: host, target: host, allowed: true},
		{name: "to a file of root", uid: root, links: map[string]string{"config.json": target}, owner: host, target: root},
		{name: "to a file of the process", uid: agent, links: map[string]string{"config.json": target}, owner: host, target: agent},
		{name: "to a file of a third user", uid: root, links: map[string]string{"config.json": target}, owner: host, target: agent},
		{name: "chain", uid: root, links: map[string]string{"config.json": "a", "a": "b", "b": target}, owner: host, target: root},
		{name: "chain to an own file", uid: root, links: map[string]string{"config.json": "a", "a": "b", "b": target}, owner: host, target: host, allowed: true},
		{name: "through a link of root to an own file", uid: root, links: map[string]string{"config.json": "a", "a": target}, owner: host, rooted: []string{"a"}, target: host, allowed: true},
		{name: "through a link of root", uid: root, links: map[string]string{"config.json": "a", "a": target}, owner: host, rooted: []string{"a"}, target: root},
		{name: "link of root to a link of a user", uid: root, links: map[string]string{"config.json": "a", "a": target}, owner: host, rooted: []string{"config.json"}, target: root},
		{name: "directory", uid: root, links: map[string]string{"d": "/secret"}, owner: host, target: root},
		{name: "directory of root in the middle", uid: root, links: map[string]string{"config.json": "d/c.json", "d": "/secret"}, owner: host, rooted: []string{"config.json"}, target: host},
		{name: "dangling", uid: root, links: map[string]string{"config.json": target}, owner: host, missing: true},
		{name: "dangling, of root", uid: host, links: map[string]string{"config.json": target}, owner: root, missing: true, allowed: true},
		{name: "dangling, own", uid: root, links: map[string]string{"config.json": target}, owner: root, missing: true, allowed: true},
		{name: "dangling below a directory", uid: root, links: map[string]string{"config.json": "/secret/new/c.json"}, owner: host, missing: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				disk.MkdirAll(dir, 0o777)
				disk.MkdirAll("/secret", 0o777)
				if !tt.missing {
					disk.WriteFile(target, []byte(config), 0o666)
					disk.Chown(target, tt.target, tt.target)
				}
				path := dir + "/config.json"
				for name, to := range tt.links {
					disk.Symlink(to, dir+"/"+name)
					disk.Lchown(dir+"/"+name, tt.owner, tt.owner)
				}
				for _, name := range tt.rooted {
					disk.Lchown(dir+"/"+name, root, root)
				}
				if tt.links["d"] != "" && tt.links["config.json"] == "" {
					path = dir + "/d/c.json"
				}
				p := disk.As("p")
				p.SetUser(tt.uid, tt.uid)
				before, _ := disk.ReadFile(target)
				files := disk.Files()
				f := openAt(t, p, path)
				for what, do := range map[string]func() error{
					"set":   func() error { _, err := set(t.Context(), f, id); return err },
					"check": func() error { return f.Check(t.Context(), key, id) },
					"sync":  func() error { return f.Sync(t.Context()) },
					"sweep": func() error { return f.Sweep(t.Context()) },
				} {
					if what == "check" && tt.missing {
						continue
					}
					err := do()
					if tt.allowed && err != nil {
						t.Errorf("%s: %v", what, err)
					}
					if !tt.allowed && (!errors.Is(err, replace.ErrForeignLink) || !configfile.Permanent(err) || !strings.Contains(err.Error(), "user 1000")) {
						t.Errorf("%s: got %v, want ErrForeignLink", what, err)
					}
				}
				if tt.allowed {
					return
				}
				if got, _ := disk.ReadFile(target); string(got) != string(before) || strings.Join(disk.Files(), " ") != strings.Join(files, " ") {
					t.Errorf("got %q, and the files %q", got, disk.Files())
				}
			})
		})
	}
}

// TestDirectoryBecomesLink lets the owner of the config's directory replace it,
// at every moment of a save by root, by a symlink to a directory of root. Nothing
// is read, changed, or created there.
func TestDirectoryBecomesLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no owners there, and only administrators make symlinks")
	}
	const host, secret = 1000, "{\"secret\": true}\n"
	if fsys.NoFollow == 0 {
		return // what is opened may have become a symlink
	}
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, at := range s.steps(t) {
				s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
					disk.MkdirAll("/etc", 0o755)
					for _, name := range []string{"/etc", "/etc/app", configPath, anchorPath} {
						if _, err := disk.Attributes(name); err == nil {
							disk.Chown(name, host, host)
						}
					}
					disk.MkdirAll("/secret", 0o700)
					if s.before != "" { // else there is room for what the save creates
						disk.WriteFile("/secret/config.json", []byte(secret), 0o600)
						disk.WriteFile("/secret/.config.json.installation-id", []byte(otherID+"\n"), 0o600)
					}
					before := strings.Join(disk.Files(), " ")
					disk.Inject(at.Rule(faultfs.Rule{Do: func() {
						attacker := disk.As("attacker")
						attacker.SetUser(host, host)
						attacker.Rename("/etc/app", "/etc/old")
						if _, err := disk.Attributes("/etc/app"); err != nil {
							disk.Symlink("/secret", "/etc/app")
							disk.Lchown("/etc/app", host, host)
						}
					}}))
					stored, err := save(t.Context())
					if stored == otherID {
						t.Errorf("%v: read the secret ID", at)
					}
					if s.before != "" {
						requireContent(t, disk, "/secret/config.json", secret)
						requireContent(t, disk, "/secret/.config.json.installation-id", otherID+"\n")
					}
					for _, name := range disk.Files() {
						if strings.HasPrefix(name, "/secret/") && !strings.Contains(before, name) {
							t.Errorf("%v: created %s (%v)", at, name, err)
						}
					}
				})
			}
		})
	}
}

// TestUnseenDirectory passes through a directory that a security module hides.
func TestUnseenDirectory(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Symlink("/etc", "/link")
		disk.Inject(faultfs.Rule{Op: faultfs.OpLstat, Name: "app", Err: syscall.EACCES, If: func(e faultfs.Entry) bool {
			return e.Name == faultfs.Abs("/etc/app")
		}, Times: 1})
		disk.Inject(faultfs.Rule{Op: faultfs.OpLstat, Name: "etc", Err: syscall.EACCES})
		mustSet(t, openAt(t, disk, "/link/app/config.json"), id)
		requireContent(t, disk, configPath, withID(config, id))
	})
}
