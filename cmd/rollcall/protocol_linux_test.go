package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// A program is the one in Python of docs/protocol.md, in a directory.
type program struct {
	t         *testing.T
	text      string
	dir       string
	collector *rollcalltest.Collector
	sent      int // requests that were expected so far
}

func newProgram(t *testing.T) *program {
	t.Helper()
	lab.Need(t, lab.Tool("python3"))
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```python\n")
	code, _, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		t.Fatal("docs/protocol.md has no program in Python")
	}
	p := &program{t: t, text: code, dir: t.TempDir(), collector: rollcalltest.NewCollector(t)}
	p.at(p.collector.URL)
	return p
}

// at changes the endpoint of the program.
func (p *program) at(endpoint string) {
	p.t.Helper()
	line := regexp.MustCompile(`(?m)^endpoint = ".*"$`)
	if n := len(line.FindAllString(p.text, -1)); n != 1 {
		p.t.Fatalf("it sets the endpoint %d times", n)
	}
	p.text = line.ReplaceAllString(p.text, `endpoint = "`+endpoint+`"`)
}

// run runs the program, which must succeed and send so many requests.
func (p *program) run(requests int, what string, environ ...string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "python3", "-c", p.text)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), append([]string{"DO_NOT_TRACK=", "no_proxy=*"}, environ...)...)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		p.t.Errorf("%s: got %v, %s", what, err, out)
	}
	p.sent += requests
	if got := len(p.collector.Requests()); got != p.sent {
		p.t.Fatalf("%s: %d requests arrived so far, want %d: %+v", what, got, p.sent, p.collector.Requests())
	}
}

// again runs the program after it has sent today, unless that was yesterday by
// now.
func (p *program) again(what string) {
	p.t.Helper()
	text, err := os.ReadFile(p.settings())
	if err != nil {
		p.t.Fatal(err)
	}
	if bytes.Contains(text, []byte(time.Now().UTC().Format(time.DateOnly))) && time.Until(time.Now().UTC().Truncate(24*time.Hour).Add(24*time.Hour)) > time.Minute {
		p.run(0, what)
	}
}

func (p *program) settings() string { return filepath.Join(p.dir, "telemetry.json") }

func (p *program) write(text string) {
	p.t.Helper()
	if err := os.WriteFile(p.settings(), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// anotherDay changes the day of the last attempt.
func (p *program) anotherDay() {
	p.t.Helper()
	text, err := os.ReadFile(p.settings())
	if err != nil {
		p.t.Fatal(err)
	}
	attempted := regexp.MustCompile(`"attempted": "[0-9-]+"`)
	if !attempted.Match(text) {
		p.t.Fatalf("got settings %s, want the day of the last attempt", text)
	}
	p.write(attempted.ReplaceAllString(string(text), `"attempted": "2020-01-01"`))
}

// TestProtocolProgram runs the program that docs/protocol.md offers to copy.
func TestProtocolProgram(t *testing.T) {
	p := newProgram(t)
	p.run(0, "without settings")
	if _, err := os.Lstat(p.settings()); err == nil {
		t.Error("without a grant, it wrote its settings")
	}
	for _, undecided := range []string{`{}`, `{"granted": false}`, `{"granted": null}`, `{"granted": "yes"}`, `{"granted": 1}`} {
		p.write(undecided)
		p.run(0, undecided)
	}

	p.write(`{"granted": true}`)
	for _, value := range []string{"1", "true", "yes", " TRUE "} {
		p.run(0, "DO_NOT_TRACK="+value, "DO_NOT_TRACK="+value)
	}
	p.run(1, "granted", "DO_NOT_TRACK=0")
	p.again("the same day")
	p.anotherDay()
	p.run(1, "another day")
	sent := p.collector.Heartbeats()
	if len(sent) != 2 || sent[0].InstallationID != sent[1].InstallationID || sent[0].App != "my-app" {
		t.Errorf("got heartbeats %+v, want two of one installation", sent)
	}

	answer := func(status int, location string) {
		p.collector.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Location", location)
			w.WriteHeader(status)
			return true
		})
	}
	other := rollcalltest.NewCollector(t)
	for _, status := range []int{503, 400, 302, 307, 308} {
		answer(status, other.URL+"/v1/heartbeat")
		p.anotherDay()
		p.run(1, http.StatusText(status))
		p.again("the same day, after " + http.StatusText(status))
	}
	if got := other.Requests(); len(got) > 0 {
		t.Errorf("it followed a redirect to another port: %+v", got)
	}

	answer(http.StatusGone, "")
	p.anotherDay()
	p.run(1, "gone")
	p.anotherDay()
	p.run(0, "another day after 410")
	p.at(other.URL)
	p.run(0, "another endpoint") // which is not the collector that counts
	if got := other.Heartbeats(); len(got) != 1 {
		t.Errorf("another endpoint got %d heartbeats, want 1", len(got))
	}

	p.at("http://127.0.0.1:1")
	p.anotherDay()
	p.run(0, "no collector")
}
