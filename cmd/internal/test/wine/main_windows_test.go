package wine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/rollcall-dev/rollcall"
	"golang.org/x/sys/windows"
)

const (
	hostConfig = "{\r\n  \"theme\": \"dark\"\r\n}\r\n"

	// patience bounds the wait for anything that has to happen.
	patience = 2 * time.Minute

	// childEnv says what a process does that a test starts.
	childEnv = "ROLLCALL_WINE_CHILD"
)

// program is the path of the built program.
var program string

func TestMain(m *testing.M) {
	rollcall.RunChild()
	if child := children[os.Getenv(childEnv)]; child != nil {
		child(os.Args[1:])
		os.Exit(0)
	}
	if err := endTogether(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if program = os.Getenv("ROLLCALL_EXE"); program != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "rollcall-wine-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "rollcall.exe")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/rollcall-dev/rollcall/cmd/rollcall").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// endTogether makes all processes that this one starts end with it, however it
// ends.
func endTogether() error {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return err
	}
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	return errors.Join(err, windows.AssignProcessToJobObject(job, windows.CurrentProcess())) // the handle stays open
}

// A site is a directory with a host's config.
type site struct {
	t                   *testing.T
	dir, config, anchor string
}

func newSite(t *testing.T, config string) *site {
	t.Helper()
	return siteIn(t, tempDir(t), config)
}

// tempDir is t.TempDir for processes whose children may need a moment to end.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rollcall-")
	must(t, err)
	t.Cleanup(func() {
		eventually(t, func() bool { return os.RemoveAll(dir) == nil }, func() string { return "remove " + dir })
	})
	return dir
}

func siteIn(t *testing.T, dir, config string) *site {
	t.Helper()
	s := &site{t, dir, filepath.Join(dir, "config.json"), filepath.Join(dir, ".config.json.installation-id")}
	if config != "" {
		must(t, os.WriteFile(s.config, []byte(config), 0o644))
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read returns the content of a file, or "" if there is none. It waits while
// another program has the file for itself.
func (s *site) read(name string) (text string) {
	s.t.Helper()
	var err error
	eventually(s.t, func() bool {
		var data []byte
		data, err = os.ReadFile(name)
		text = string(data)
		return !errors.Is(err, windows.ERROR_SHARING_VIOLATION)
	}, func() string { return "read " + name })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return text
}

// wantNoTemps checks that nothing is there but the config and what lies beside
// it.
func (s *site) wantNoTemps() {
	s.t.Helper()
	names, err := filepath.Glob(filepath.Join(s.dir, ".*.tmp"))
	if err != nil || len(names) > 0 {
		s.t.Errorf("got temporary files %q, %v", names, err)
	}
}

var idInConfig = regexp.MustCompile(`"installation_id": "([0-9a-f-]{36})"`)

// id returns the ID in the config, or "". It checks that the host's setting is
// there too.
func (s *site) id() string {
	s.t.Helper()
	text := s.read(s.config)
	if !strings.Contains(text, `"theme": "dark"`) {
		s.t.Errorf("the config lost a setting: %q", text)
	}
	if found := idInConfig.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

// An agent is a running agent of the program.
type agent struct {
	t   *testing.T
	cmd *exec.Cmd
	log string
}

// agent starts the program without a local server, and with limits that no
// attempt reaches, however busy the machine is. It is killed at the end of the
// test.
func (s *site) agent(args ...string) *agent {
	s.t.Helper()
	log, err := os.CreateTemp(tempDir(s.t), "agent*.log")
	must(s.t, err)
	defer log.Close()
	a := &agent{s.t, exec.Command(program, slices.Concat([]string{"agent", "--config", s.config, "--listen", "off", "--attempt-timeout", patience.String(), "--start-timeout", patience.String()}, args)...), log.Name()}
	a.cmd.Stderr = log
	must(s.t, a.cmd.Start())
	s.t.Cleanup(a.stop)
	return a
}

// stop terminates the process, as the Task Manager does.
func (a *agent) stop() {
	a.cmd.Process.Kill()
	a.cmd.Wait()
}

func (a *agent) text() string {
	a.t.Helper()
	data, err := os.ReadFile(a.log)
	must(a.t, err)
	return string(data)
}

func (a *agent) wait(message string) {
	a.t.Helper()
	eventually(a.t, func() bool { return strings.Contains(a.text(), message) }, func() string { return message + ":\n" + a.text() })
}

// settled waits for the end of the start and checks the messages of the log.
func (a *agent) settled(persisted bool, messages ...string) {
	a.t.Helper()
	a.wait("Telemetry service started")
	want := append(messages, fmt.Sprintf("has_persistent_id=%v", persisted))
	for _, text := range want {
		if !strings.Contains(a.text(), text) {
			a.t.Errorf("want %q in the log:\n%s", text, a.text())
		}
	}
	if got := strings.Count(a.text(), "\n"); got != len(want) {
		a.t.Errorf("got %d log lines, want %d:\n%s", got, len(want), a.text())
	}
}

func eventually(t *testing.T, ok func() bool, what func() string) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what())
		}
	}
}

const (
	generated = "Generated new anonymous installation ID"
	persisted = "Installation ID persisted to config"
	failed    = "Failed to save installation ID to config"
	inMemory  = "Using in-memory installation ID"
)
