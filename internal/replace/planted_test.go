package replace_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestPlanted adopts no file of ours that somebody else may have put into a
// sticky directory, neither by itself nor behind a symlink.
func TestPlanted(t *testing.T) {
	const root, host, agent, stranger = 0, 1000, 2000, 3000
	const sticky = fs.ModeSticky | 0o777
	for _, tt := range []struct {
		name    string
		uid     int // of the process
		mode    fs.FileMode
		dir     int // the owner of the directory
		file    int
		config  int // the owner of a config beside it; 0 means that there is none
		link    bool
		planted bool
	}{
		{name: "own", uid: agent, mode: sticky, file: agent},
		{name: "of root", uid: agent, mode: sticky, file: root},
		{name: "of a stranger", uid: agent, mode: sticky, file: stranger, planted: true},
		{name: "of a stranger, as root", uid: root, mode: sticky, file: stranger, planted: true},
		{name: "of the directory's owner", uid: root, mode: sticky, dir: host, file: host},
		{name: "of the config's owner", uid: root, mode: sticky, file: host, config: host},
		{name: "of a stranger beside a config", uid: root, mode: sticky, file: stranger, config: host, planted: true},
		{name: "sticky for a group", uid: agent, mode: fs.ModeSticky | 0o770, file: stranger, planted: true},
		{name: "behind a link of a stranger", uid: root, mode: sticky, file: stranger, link: true, planted: true},
		{name: "directory of the host", uid: root, mode: 0o755, dir: host, file: host},
		{name: "directory for all", uid: root, mode: 0o777, dir: host, file: stranger},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				const dir, name, elsewhere = "/shared", "/shared/id", "/home/x/id"
				disk.MkdirAll(dir, tt.mode)
				disk.Chown(dir, tt.dir, agent)
				at := name
				if tt.link {
					disk.Symlink(elsewhere, name)
					disk.Lchown(name, tt.file, tt.file)
					at = elsewhere
				}
				disk.WriteFile(at, []byte(otherID+"\n"), 0o666)
				disk.Chown(at, tt.file, tt.file)
				var config string
				if tt.config != 0 {
					config = faultfs.Abs(dir + "/config.json")
					disk.WriteFile(config, []byte("{}"), 0o666)
					disk.Chown(config, tt.config, tt.config)
				}
				p := disk.As("p")
				p.SetUser(tt.uid, agent)
				a, err := anchor.Open(p, faultfs.Abs(name), anchor.Options{Valid: isID, Config: config})
				if err != nil {
					t.Fatal(err)
				}
				for what, do := range map[string]func() (string, error){
					"read":    func() (string, error) { return a.Read(t.Context()) },
					"publish": func() (string, error) { return a.Publish(t.Context(), id) },
				} {
					got, err := do()
					if !tt.planted && (got != otherID || err != nil) {
						t.Errorf("%s: got %q, %v", what, got, err)
					}
					if tt.planted && (got != "" || !errors.Is(err, replace.ErrPlanted) || !configfile.Permanent(err)) {
						t.Errorf("%s: got %q, %v, want ErrPlanted", what, got, err)
					}
				}
				requireContent(t, disk, at, otherID+"\n")

				disk.WriteFile(at, []byte("{}\n"), 0o666)
				for own, want := range map[bool]bool{true: tt.planted, false: false} {
					f, err := configfile.Open(p, faultfs.Abs(name), configfile.Options{Own: own})
					if err != nil {
						t.Fatal(err)
					}
					if tt.config != 0 {
						continue // a file of ours beside a host's is no config
					}
					if _, err := f.Read(t.Context(), key); errors.Is(err, replace.ErrPlanted) != want || !want && err != nil {
						t.Errorf("config, own %v: got %v", own, err)
					}
				}
			})
		})
	}
}
