package wine

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// children are what processes do that tests start.
var children = map[string]func(args []string){"race": race, "save": saveAll}

func child(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// TestRace starts many processes on one config at the same moment: all use one
// ID, which is the one in the config.
func TestRace(t *testing.T) {
	t.Parallel()
	for _, config := range []string{hostConfig, ""} {
		s := newSite(t, config)
		const processes = 16
		var outs []*bufio.Reader
		var ins []io.WriteCloser
		for range processes {
			cmd := child(t, "race", s.config)
			in, err := cmd.StdinPipe()
			must(t, err)
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			t.Cleanup(func() { cmd.Wait() })
			ins, outs = append(ins, in), append(outs, bufio.NewReader(out))
		}
		for _, out := range outs {
			if _, err := out.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		for _, in := range ins {
			in.Close()
		}
		var ids []string
		for _, out := range outs {
			line, err := out.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, strings.TrimSpace(line))
		}
		got := slices.Compact(slices.Sorted(slices.Values(ids)))
		if in := idInConfig.FindStringSubmatch(s.read(s.config)); len(got) != 1 || in == nil || got[0] != in[1]+" true" {
			t.Errorf("got %q, and config %q", got, s.read(s.config))
		}
		s.wantNoTemps()
	}
}

// race says that it is ready, waits for the end of its input, starts a service,
// and prints the ID and whether it is persisted.
func race(args []string) {
	service, err := rollcall.New(rollcall.Config{
		ConfigPath: args[0], Logger: slog.New(slog.DiscardHandler),
		Limits: rollcall.Limits{AttemptTimeout: patience, StartTimeout: patience}, // which a busy machine does not reach
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	if err := service.Start(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(service.ID(), service.Status().Persisted)
	service.Stop(context.Background())
}

// TestKilled terminates a process at many moments of its saves. The config is
// the old one or the new one, and the next process finishes the save with the
// ID that the killed one published.
func TestKilled(t *testing.T) {
	t.Parallel()
	const kills = 30
	for i := range kills {
		dir := tempDir(t)
		cmd := child(t, "save", dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		lines.Scan() // the first save is done
		time.Sleep(time.Duration(i) * 700 * time.Microsecond)
		must(t, cmd.Process.Kill()) // TerminateProcess
		saved := []string{lines.Text()}
		for lines.Scan() {
			saved = append(saved, lines.Text())
		}
		cmd.Wait()

		for n, id := range saved {
			s := siteIn(t, filepath.Join(dir, fmt.Sprint(n)), "")
			if got := s.id(); got != id || s.read(s.anchor) != id+"\n" {
				t.Errorf("save %d was confirmed: got ID %q and anchor %q, want %q", n, got, s.read(s.anchor), id)
			}
		}
		last := siteIn(t, filepath.Join(dir, fmt.Sprint(len(saved))), "")
		if _, err := os.Stat(last.config); err != nil {
			continue // killed before it was created
		}
		text := last.read(last.config)
		if text == "" { // by the test's own write
			continue
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("torn: %q", text)
		}
		published := strings.TrimSpace(last.read(last.anchor))
		id, err := save(last.config, installid.New())
		if err != nil || published != "" && id != published || last.id() != id {
			t.Errorf("the next save: got %q, %v, anchor %q, ID %q", id, err, published, last.id())
		}
	}
}

// saveAll saves in one directory after the other and prints the IDs.
func saveAll(args []string) {
	for n := 0; ; n++ {
		dir := filepath.Join(args[0], fmt.Sprint(n))
		config := filepath.Join(dir, "config.json")
		if err := os.Mkdir(dir, 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(config, []byte(hostConfig), 0o644); err != nil {
			panic(err)
		}
		id, err := save(config, installid.New())
		if err != nil {
			panic(err)
		}
		fmt.Println(id)
	}
}

func save(config string, id installid.ID) (string, error) {
	store, err := idstore.Location{ConfigPath: config, Key: jsonedit.Key{"telemetry", "installation_id"}}.Open(fsys.OS{})
	if err != nil {
		return "", err
	}
	rec, err := store.Save(context.Background(), id)
	return rec.ID.String(), err
}
