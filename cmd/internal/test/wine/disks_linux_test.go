package wine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

const hostConfig = "{\n  \"theme\": \"dark\"\n}\n"

// slowDisk is scenario 2 of the original, with the real limit for an attempt: a
// save times out after 5 s, and a later one works.
func slowDisk(t *testing.T, m *machine) {
	disk := lab.FUSE(t)
	slow := disk.Hang(lab.Fsync, "", lab.Always)
	log := m.agent(t, disk, "--attempts", "20", "--start-timeout", "5m")
	log.wait("Config save timed out, will retry")
	slow.Release()
	log.wait("Telemetry service started")
	log.want("has_persistent_id=true")
	log.wantConfig(true)
}

// hungDisk is scenario 4 of the original: an ID in memory serves.
func hungDisk(t *testing.T, m *machine) {
	disk := lab.FUSE(t)
	hung := disk.Hang(lab.Fsync, "", lab.Always)
	log := m.agent(t, disk, "--attempt-timeout", "300ms", "--backoff", "300ms")
	log.wait("Telemetry service started")
	log.want("Using in-memory installation ID", "has_persistent_id=false")
	log.wantConfig(false)
	hung.Release()
}

// An agentLog is the log of an agent on a config.
type agentLog struct {
	t            *testing.T
	file, config string
}

// agent starts the program on a disk with a config. It is killed at the end of
// the test.
func (m *machine) agent(t *testing.T, disk *lab.FaultDir, args ...string) *agentLog {
	t.Helper()
	l := &agentLog{t, filepath.Join(t.TempDir(), "agent.log"), filepath.Join(disk.Path, "config.json")}
	if err := os.WriteFile(filepath.Join(disk.Backing, "config.json"), []byte(hostConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(l.file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stderr.Close() })
	cmd := m.command(t, disk.Backing, "rollcall.exe",
		append([]string{"agent", "--config", windowsPath(l.config), "--listen", "off"}, args...)...)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return l
}

func (l *agentLog) text() string {
	l.t.Helper()
	text, err := os.ReadFile(l.file)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

func (l *agentLog) wait(message string) {
	l.t.Helper()
	for end := time.Now().Add(5 * time.Minute); !strings.Contains(l.text(), message); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("no %q within five minutes:\n%s", message, l.text())
		}
	}
}

func (l *agentLog) want(texts ...string) {
	l.t.Helper()
	for _, text := range texts {
		if !strings.Contains(l.text(), text) {
			l.t.Errorf("want %q in the log:\n%s", text, l.text())
		}
	}
}

// wantConfig checks whether the ID is in the config, and that nothing else has
// changed.
func (l *agentLog) wantConfig(id bool) {
	l.t.Helper()
	data, err := os.ReadFile(l.config)
	if err != nil {
		l.t.Fatal(err)
	}
	got := string(data)
	if strings.Contains(got, `"installation_id": "`) != id || !strings.Contains(got, `"theme": "dark"`) || !id && got != hostConfig {
		l.t.Errorf("got config %s", got)
	}
}
