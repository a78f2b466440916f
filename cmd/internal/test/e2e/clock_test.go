//go:build linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// clockVariable moves the clock of a process of the program that
// buildWithClock built, by a duration.
const clockVariable = "ROLLCALL_TEST_CLOCK"

// buildWithClock builds the program with a standard library that adds an offset
// from the environment to the time of day. The monotonic clock has none.
func buildWithClock(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	must(t, err)
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(source)
	must(t, err)
	const reading = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if !bytes.Contains(text, []byte(reading)) {
		t.Fatal("package time does not read the clock as expected")
	}
	text = bytes.Replace(text, []byte(reading), []byte(reading+"\tsec += testOffset()\n"), 1)
	text = append(text, `
var testOffset = sync.OnceValue(func() int64 {
	text, _ := syscall.Getenv("`+clockVariable+`")
	d, _ := ParseDuration(text)
	return int64(d / Second)
})
`...)
	text = bytes.Replace(text, []byte("import (\n"), []byte("import (\n\t\"sync\"\n\t\"syscall\"\n"), 1)
	changed, overlay := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(changed, text, 0o600))
	plan, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	must(t, err)
	must(t, os.WriteFile(overlay, plan, 0o600))
	program := filepath.Join(dir, "rollcall")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-overlay", overlay, "-o", program, "github.com/rollcall-dev/rollcall/cmd/rollcall")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return program
}

// A clockSite is a collector whose clock moves between its starts.
type clockSite struct {
	t             *testing.T
	program, data string
	log           bytes.Buffer
	cmd           *exec.Cmd
	address       string
}

const clockDay = 24 * time.Hour

// verb runs a verb while the clock is ahead, and returns its output and whether
// it succeeded.
func (s *clockSite) verb(ahead time.Duration, args ...string) (output string, ok bool) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.program, append(append([]string{"collector"}, args...), "--data-dir", s.data)...)
	cmd.Env = append(os.Environ(), clockVariable+"="+ahead.String())
	text, err := cmd.CombinedOutput()
	return string(text), err == nil
}

var served = regexp.MustCompile(`address=(\S+)`)

// start starts the collector while its clock is ahead.
func (s *clockSite) start(ahead time.Duration) {
	s.t.Helper()
	s.log.Reset()
	s.cmd = exec.CommandContext(s.t.Context(), s.program, "collector", "serve", "--listen", "127.0.0.1:0", "--data-dir", s.data, "--open-metrics")
	s.cmd.Env = append(os.Environ(), clockVariable+"="+ahead.String())
	stderr, err := s.cmd.StderrPipe()
	must(s.t, err)
	must(s.t, s.cmd.Start())
	s.t.Cleanup(s.stop)
	for buffer := make([]byte, 4096); ; {
		n, err := stderr.Read(buffer)
		s.log.Write(buffer[:n])
		if found := served.FindSubmatch(s.log.Bytes()); found != nil && bytes.Contains(s.log.Bytes(), []byte("Collector serves")) {
			s.address = "http://" + string(found[1])
			break
		}
		if err != nil {
			s.t.Fatalf("the collector does not serve: %s", s.log.String())
		}
	}
	go io.Copy(io.Discard, stderr)
}

func (s *clockSite) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait()
	s.cmd = nil
}

func (s *clockSite) request(method, path, body string) (int, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.address+path, strings.NewReader(body))
	must(s.t, err)
	answer, err := http.DefaultClient.Do(r)
	must(s.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(s.t, err)
	return answer.StatusCode, string(text)
}

func clockID(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", n+1) }

// beat sends a heartbeat of installation n whose clock is ahead.
func (s *clockSite) beat(n int, ahead time.Duration) {
	s.t.Helper()
	status, text := s.request("POST", "/v1/heartbeat", fmt.Sprintf(
		`{"schema":1,"app":"app","installation_id":%q,"id_persistence":"persisted","sent_at":%q,"version":"1.0"}`,
		clockID(n), time.Now().Add(ahead).UTC().Format(time.RFC3339)))
	if status != 200 {
		s.t.Fatalf("got %d, %s, want an acknowledgement", status, text)
	}
}

// days returns the number of days on which installation n was active.
func (s *clockSite) days(n int) int {
	s.t.Helper()
	status, text := s.request("GET", "/v1/installations/"+clockID(n), "")
	var held struct {
		Apps []struct{ Days []string }
	}
	if err := json.Unmarshal([]byte(text), &held); err != nil || status != 200 || len(held.Apps) != 1 {
		s.t.Fatalf("got %d, %s, want what is held", status, text)
	}
	return len(held.Apps[0].Days)
}

func (s *clockSite) trusts(want bool) {
	s.t.Helper()
	_, ready := s.request("GET", "/readyz", "")
	_, metrics := s.request("GET", "/metrics", "")
	if strings.Contains(ready, "provisionally") == want || strings.Contains(metrics, "\nrollcall_collector_clock_trusted 1\n") != want {
		s.t.Errorf("got %q, want trusted: %v", ready, want)
	}
}

// TestS11ClockReal starts a collector with wrong clocks.
func TestS11ClockReal(t *testing.T) {
	t.Parallel()
	if strings.Contains(os.Getenv("GOFLAGS"), "-overlay") {
		t.Skip("make later: the program has another clock than this test")
	}
	s := &clockSite{t: t, program: buildWithClock(t), data: filepath.Join(t.TempDir(), "data")}
	const known = 5
	lab.SameDay(t, 10*time.Minute)
	began := -20 * clockDay
	if output, ok := s.verb(began, "app", "add", "app"); !ok {
		t.Fatal(output)
	}
	visits := 0
	for ahead := began; ahead <= 0; ahead += 2 * clockDay {
		s.start(ahead)
		for n := range known {
			s.beat(n, ahead)
		}
		s.trusts(true)
		s.stop()
		visits++
	}

	// Once with a clock 500 days ahead.
	s.start(500 * clockDay)
	s.trusts(false)
	if n := strings.Count(s.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("got %d errors, want one: %s", n, s.log.String())
	}
	s.beat(0, 0)
	s.beat(known, 0)
	s.stop()
	if output, ok := s.verb(500*clockDay, "check"); ok || !strings.Contains(output, "--fix-day") {
		t.Errorf("check: got %s", output)
	}
	s.start(0)
	s.trusts(true)
	for n := range known {
		if got := s.days(n); got != visits {
			t.Errorf("installation %d: got %d days, want %d", n, got, visits)
		}
	}
	if got := s.days(known); got != 1 {
		t.Errorf("new installation: got %d days, want 1", got)
	}
	s.stop()

	// After weeks without the collector, three known installations confirm.
	away := 25 * clockDay
	s.start(away)
	s.trusts(false)
	for n := range 3 {
		s.beat(n, away)
	}
	s.trusts(true)
	if got := s.days(2); got != visits+1 {
		t.Errorf("after a downtime: got %d days, want %d", got, visits+1)
	}
	s.stop()

	// The operator confirms a day in the future, and comes back.
	future := 5 * 365 * clockDay
	if output, ok := s.verb(future, "check", "--fix-day"); ok || !strings.Contains(output, "--yes") {
		t.Errorf("without confirmation: got %s", output)
	}
	if output, ok := s.verb(future, "check", "--fix-day", "--yes"); !ok || !strings.Contains(output, "Reports count on ") {
		t.Errorf("to the future: got %s", output)
	}
	s.start(away)
	s.trusts(false)
	s.beat(3, away)
	output, ok := s.verb(away, "check", "--fix-day", "--yes")
	day := time.Now().Add(away).UTC().Format(time.DateOnly)
	if !ok || !strings.Contains(output, "Reports count on "+day+" now") {
		t.Errorf("back: got %s", output)
	}
	s.trusts(true)
	s.beat(4, away)
	for n := range known {
		if got := s.days(n); got != visits+1 {
			t.Errorf("installation %d, back from the future: got %d days, want %d", n, got, visits+1)
		}
	}
	if output, ok := s.verb(away, "check", "--fix-day"); !ok || !strings.Contains(output, "Clock OK") {
		t.Errorf("check: got %s", output)
	}
}
