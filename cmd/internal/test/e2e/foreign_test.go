//go:build linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// rewritingChild is a host that rewrites its settings in place every 3 ms,
// until its standard input ends, and reads them back each time. It prints how
// often it saved, and what it read if that was not JSON. Its argument is the
// config's path.
const rewritingChild = "rewriting"

func runRewriting() {
	path := os.Args[1]
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	settings := hostSettings{Name: "host"}
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-time.After(1500 * time.Microsecond):
		}
		settings.Counter++
		settings.Motto = strings.Repeat("x", 300+settings.Counter%200) // of another length each time
		data, err := json.MarshalIndent(settings, "", "  ")
		if err != nil {
			panic(err)
		}
		if err := inPlace.save(path, string(data)+"\n"); err != nil {
			panic(err)
		}
		time.Sleep(1500 * time.Microsecond)
		if data, err := os.ReadFile(path); err != nil || !json.Valid(data) {
			fmt.Printf("torn: %q, %v\n", data, err)
		}
	}
	fmt.Println(settings.Counter)
}

// TestD22ForeignHostReal has a host that rewrites its config in place all the
// time, as a user of its own, while services of another user start all the
// time. They never tear the config, and lose none of its saves.
func TestD22ForeignHostReal(t *testing.T) {
	t.Parallel()
	const hostUser, otherUser = 1234, 2000
	for _, tt := range []struct {
		name    string
		uid     int // of the services
		prepare func(t *testing.T, s *site)
		copies  bool // whether the services write the config
	}{
		{"services of another user", otherUser, func(*testing.T, *site) {}, false},
		{"services of root", 0, func(*testing.T, *site) {}, true},
		{"services of root, config mounted by itself", 0, func(t *testing.T, s *site) { lab.BindFile(t, s.config) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lab.Need(t, lab.Root)
			s := newSite(t, plainConfig)
			must(t, os.Chmod(s.dir, 0o777))
			must(t, os.Chmod(s.config, 0o666))
			must(t, os.Chown(s.config, hostUser, hostUser))
			tt.prepare(t, s)

			host := s.talkerAs(hostUser, rewritingChild)
			var services []*talker
			for range 4 {
				services = append(services, s.talkerAs(tt.uid, restartingChild))
			}
			time.Sleep(time.Duration(quickOr(3, 120)) * time.Second)
			ids := make(map[string]int)
			for _, service := range services {
				service.end()
				for _, id := range service.printed {
					ids[id]++
				}
			}
			host.end()

			last, err := strconv.Atoi(host.printed[len(host.printed)-1])
			must(t, err)
			t.Logf("%d saves, %d torn", last, len(host.printed)-1)
			for _, torn := range host.printed[:len(host.printed)-1] {
				t.Error(torn)
			}
			var now hostSettings
			if err := json.Unmarshal([]byte(s.configNow()), &now); err != nil || now.Counter != last {
				t.Errorf("got counter %d, %v, at last, want %d", now.Counter, err, last)
			}
			if len(ids) != 1 || ids[s.anchorNow()] == 0 {
				t.Errorf("got IDs %v, want one, that of the anchor, %q", ids, s.anchorNow())
			}
			r, st := s.startOnce(asUser(tt.uid))
			if !r.Status.Persisted || st.Incomplete == tt.copies || !tt.copies && !strings.Contains(st.Reason, "writing to it") {
				t.Errorf("at rest: got %+v", st)
			}
			s.wantNoTemps()
		})
	}
}

// TestD22ForeignConfigReal has a config that belongs to somebody else, and that
// the service can only write in place. It does not: nothing would show that
// its owner is not writing.
func TestD22ForeignConfigReal(t *testing.T) {
	t.Parallel()
	for mode, persisted := range map[os.FileMode]bool{0o755: false, 0o777: true, 0o777 | os.ModeSticky: true} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			lab.Need(t, lab.Root)
			s := newSite(t, plainConfig)
			must(t, os.Chmod(s.config, 0o666))
			must(t, os.Chmod(s.dir, mode))
			r, st := s.startOnce(asUser(nobody))
			if r.Status.Persisted != persisted || !strings.Contains(st.Reason, "another program may be writing to it") || st.Attempts != 1 {
				t.Errorf("got %+v", st)
			}
			if persisted && s.anchorNow() != r.ID.String() {
				t.Errorf("got anchor %q, want %q", s.anchorNow(), r.ID)
			}
			s.wantConfig(plainConfig)
			s.wantNoTemps()
			if again, _ := s.startOnce(asUser(nobody)); persisted && again.ID != r.ID {
				t.Errorf("got ID %q after a restart, want %q", again.ID, r.ID)
			}
		})
	}
}
