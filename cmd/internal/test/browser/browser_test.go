package browser_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/cmd/internal/operator"
	"github.com/rollcall-dev/rollcall/page"
)

// driveTimeout bounds one check. Most take a few seconds.
const driveTimeout = 20 * time.Minute

// drive runs a check of checks.mjs.
func drive(t *testing.T, browser, check string, input map[string]any) {
	t.Helper()
	input["browser"], input["lanName"] = browser, lanName
	input["artifacts"] = os.Getenv("ROLLCALL_ARTIFACTS")
	data, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), driveTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "drive.mjs", check)
	cmd.Stdin = bytes.NewReader(data)
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", check, err, output)
	} else if len(output) > 0 {
		t.Logf("%s", output)
	}
}

// TestEverywhere leaves screenshots of all pages in the directory that
// ROLLCALL_ARTIFACTS names.
func TestEverywhere(t *testing.T) {
	browser := needBrowser(t)
	collect := collecting(t)
	t.Setenv("EXAMPLE_TELEMETRY", "0")
	first := newSite(t, undecided, collect)
	sent := newSite(t, granted, collect)
	if err := sent.Service.SendNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	failing := newSite(t, granted, func(c *rollcall.Config) { c.Endpoint = "http://127.0.0.1:9" })
	if err := failing.Service.SendNow(t.Context()); err == nil {
		t.Fatal("something listens on port 9")
	}
	sites := map[string]string{
		"undecided": first.URL,
		"reset":     first.URL + "reset",
		"forget":    first.URL + "forget",
		"granted":   sent.URL,
		"failing":   failing.URL,
		"added":     newSite(t, granted, collect, func(c *rollcall.Config) { c.Facts[0].Declaration = c.Facts[0].Declaration.AddedIn(2) }).URL,
		"denied":    newSite(t, denied, collect).URL,
		"overruled": newSite(t, granted, collect, func(c *rollcall.Config) { c.Consent.DenyVariable = "EXAMPLE_TELEMETRY" }).URL,
		"alone":     newSite(t, undecided).URL,
		"broken":    newSite(t, "{\n  \"telemetry\": {,\n}\n", collect).URL,
		"hung":      newSite(t, "", collect, hung(t)).URL,
		"none":      serve(t, nil),
	}
	drive(t, browser, "everywhere", map[string]any{"sites": sites})
}

// hung makes the host's settings hang.
func hung(t *testing.T) func(*rollcall.Config) {
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	return func(c *rollcall.Config) {
		c.ConfigPath, c.Lazy, c.StateDir = "", true, t.TempDir()
		c.ID.Load = func(context.Context) (string, error) {
			<-end
			return "", errors.New("ended")
		}
		c.ID.Save = func(context.Context, string) error { return nil }
		c.Consent.Load = func(context.Context) (rollcall.Consents, error) {
			<-end
			return rollcall.Consents{}, errors.New("ended")
		}
	}
}

func TestOtherMedia(t *testing.T) {
	drive(t, needBrowser(t), "otherMedia", map[string]any{"url": newSite(t, granted, collecting(t)).URL})
}

func TestWithoutJavaScript(t *testing.T) {
	browser := needBrowser(t)
	s := newSite(t, denied, collecting(t))
	drive(t, browser, "withoutJavaScript", map[string]any{"url": s.URL})
	// The new key stands beside the other keys; nothing else has changed.
	var got struct {
		Telemetry map[string]any `json:"telemetry"`
	}
	if err := json.Unmarshal([]byte(s.config(t)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"enabled": false, "health_enabled": true, "installation_id": knownID}
	if !maps.Equal(got.Telemetry, want) {
		t.Errorf("got %v in the config, want %v", got.Telemetry, want)
	}
}

func TestConfirmed(t *testing.T) {
	drive(t, needBrowser(t), "confirmed", map[string]any{"url": newSite(t, granted, collecting(t)).URL})
}

func TestKeyboard(t *testing.T) {
	browser := needBrowser(t)
	s := newSite(t, denied, collecting(t))
	drive(t, browser, "keyboard", map[string]any{"url": s.URL})
	if got, want := s.config(t), strings.Replace(denied, "false", "true", 1); got != want {
		t.Errorf("got config\n%s\nwant\n%s", got, want)
	}
}

func TestCopy(t *testing.T) {
	drive(t, needBrowser(t), "copy", map[string]any{"url": newSite(t, undecided).URL})
}

func TestOverTheNetwork(t *testing.T) {
	drive(t, needBrowser(t), "overTheNetwork", map[string]any{"url": newSite(t, undecided, collecting(t)).URL})
}

func TestOtherSites(t *testing.T) {
	browser := needBrowser(t)
	s := newSite(t, undecided, collecting(t))
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<!doctype html><title>Elsewhere</title><a href="%[1]s">The page</a> <iframe src="%[1]s"></iframe>
<form method="post" action="%[1]sconsent"><input type="hidden" name="decision" value="grant"><button>Win a prize</button></form>`, s.URL)
	}))
	defer foreign.Close()
	// Another name makes it another site, not just another origin.
	url := strings.Replace(foreign.URL, "127.0.0.1", "localhost", 1)
	drive(t, browser, "otherSites", map[string]any{"url": s.URL, "foreign": url})
	if got := s.config(t); got != undecided {
		t.Errorf("got config\n%s\nwant\n%s", got, undecided)
	}
}

func TestSignIn(t *testing.T) {
	browser := needBrowser(t)
	s := newSite(t, undecided, collecting(t))
	proof, err := s.Service.CreateToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gate := operator.New(s.Service)
	local, err := agent.New(s.Service, agent.Options{
		Listen: []string{"127.0.0.1:0"}, Gate: gate, Page: page.Handler(s.Service, page.Options{Title: title, Rights: gate.Rights}),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(local.Handler())
	defer server.Close()
	link := server.URL + operator.NewLink(proof.Token)
	// Another port of the same address is another origin, and gets the same cookies.
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie := r.Header.Get("Cookie"); cookie != "" {
			t.Errorf("the server of somebody else got the cookie %q", cookie)
		}
		fmt.Fprintf(w, `<!doctype html><title>Elsewhere</title><a href="%s">A terminal</a>`, link)
	}))
	defer foreign.Close()
	drive(t, browser, "signIn", map[string]any{"url": server.URL + "/", "link": link, "foreign": foreign.URL + "/"})
	if got := s.config(t); !strings.Contains(got, `"enabled": true`) {
		t.Errorf("got config %s", got)
	}
}
