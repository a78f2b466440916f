package alert_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
)

// hooked returns a watcher with one webhook.
func hooked(t *testing.T, url, secret string) *alert.Watcher {
	t.Helper()
	w := alert.New(newFake(), local)
	if err := w.SetJSON(t.Context(), 1, fmt.Sprintf(`{"webhooks":[{"url":%q,"secret":%q}]}`, url, secret)); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWebhook(t *testing.T) {
	type request struct {
		method, path string
		header       http.Header
		body         []byte
	}
	got := make(chan request, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- request{r.Method, r.URL.String(), r.Header, body}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer hook.Close()
	if err := hooked(t, hook.URL+"/in?x=1", "key").Test(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	r := <-got
	var m alert.Message
	if err := json.Unmarshal(r.body, &m); err != nil || m.State != alert.Test || m.App != "app" {
		t.Errorf("got %s, %v", r.body, err)
	}
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write(r.body)
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); r.header.Get("X-Rollcall-Signature") != want {
		t.Errorf("got signature %q, want %q", r.header.Get("X-Rollcall-Signature"), want)
	}
	if r.method != "POST" || r.path != "/in?x=1" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s %s %v", r.method, r.path, r.header)
	}
	if err := hooked(t, hook.URL, "").Test(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.header.Get("X-Rollcall-Signature") != "" {
		t.Errorf("signed without a secret: %q", r.header.Get("X-Rollcall-Signature"))
	}
}

// Answers other than 2xx are failures, redirects are not followed, and errors do
// not reveal the URL, which may be secret.
func TestWebhookFails(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/302":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		case "/307":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		case "/header":
			w.Header().Set("X-Large", strings.Repeat("x", 64<<10))
		}
	}))
	defer hook.Close()
	for path, want := range map[string]string{"/302": "answered 302", "/307": "answered 307", "/500": "answered 500", "/header": "webhook 1"} {
		if err := hooked(t, hook.URL+path+"?token=hunter2", "").Test(t.Context(), 1); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if err := hooked(t, hook.URL+"/endless", "").Test(t.Context(), 1); err != nil {
		t.Errorf("an endless answer: %v", err)
	}
	hook.Close()
	if err := hooked(t, hook.URL+"/hunter2", "").Test(t.Context(), 1); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("no server: got %v", err)
	}
}

// local allows the servers of the tests, which are on this machine.
var local = alert.Options{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::1/128")}}

// What a maintainer may not reach looks like what is not there, whatever is
// there. The operator sees the cause.
func TestWebhookAddresses(t *testing.T) {
	reached := func(http.ResponseWriter, *http.Request) { t.Error("a refused address was reached") }
	hook := httptest.NewServer(http.HandlerFunc(reached))
	defer hook.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	var texts []string
	for _, url := range []string{
		hook.URL, strings.Replace(hook.URL, "127.0.0.1", "localhost", 1), strings.Replace(hook.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1),
		closed.URL, "http://169.254.169.254/", "http://[fe80::1%25lo]/", "http://[::ffff:169.254.169.254]/",
		"http://224.0.0.1/", "http://[64:ff9b::a9fe:a9fe]/", "http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://192.0.0.192/",
		"http://168.63.129.16/", "http://[2002:7f00:1::]/", "http://[::127.0.0.1]/", "http://10.0.0.1/", "http://0.0.0.0/", "http://[::]/",
	} {
		var log bytes.Buffer
		w := alert.New(newFake(), alert.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err := w.SetJSON(t.Context(), 1, fmt.Sprintf(`{"webhooks":[{"url":%q}]}`, url)); err != nil {
			t.Fatal(err)
		}
		err := w.Test(t.Context(), 1)
		if err == nil {
			t.Fatalf("%s: got no error", url)
		}
		texts = append(texts, err.Error())
		if !strings.Contains(log.String(), "not a public address") {
			t.Errorf("%s: the log says %s", url, &log)
		}
	}
	if texts = slices.Compact(texts); len(texts) != 1 {
		t.Errorf("got %q, want one text", texts)
	}
}

func TestIsPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "2606:4700::1111": true, "64:ff9b::101:101": true, "2002:101:101::": true, "168.63.129.17": true,
		"127.0.0.1": false, "::1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.0.1": false, "169.254.1.1": false,
		"fe80::1": false, "fc00::1": false, "ff02::1": false, "100.64.0.1": false, "198.18.0.1": false, "240.0.0.1": false,
		"255.255.255.255": false, "64:ff9b::7f00:1": false, "64:ff9b:1::1": false, "2001::1": false, "2002:a00:1::": false, "fec0::1": false,
	} {
		if got := alert.IsPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

// The proxy of the operator may have any address.
func TestWebhookThroughProxy(t *testing.T) {
	if os.Getenv("ROLLCALL_TEST_PROXY") == "" {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Host != "hook.example" {
				t.Errorf("the proxy got %s", r.URL)
			}
		}))
		defer proxy.Close()
		// The environment's proxy is read once per process.
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWebhookThroughProxy$")
		cmd.Env = append(os.Environ(), "ROLLCALL_TEST_PROXY=1", "HTTP_PROXY="+proxy.URL, "NO_PROXY=")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		return
	}
	w := alert.New(newFake(), alert.Options{})
	if err := w.SetJSON(t.Context(), 1, `{"webhooks":[{"url":"http://hook.example/"}]}`); err != nil {
		t.Fatal(err)
	}
	if err := w.Test(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

// A slow target does not delay the caller after the context has ended.
func TestWebhookCancelled(t *testing.T) {
	arrived, done := make(chan struct{}), make(chan struct{})
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(arrived); <-done }))
	defer hook.Close()
	defer close(done)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	start := time.Now()
	if err := hooked(t, hook.URL, "").Test(ctx, 1); err == nil {
		t.Error("got no error")
	}
	if took := time.Since(start); took >= alert.SendTimeout {
		t.Errorf("took %s", took)
	}
}
