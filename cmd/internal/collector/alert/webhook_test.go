package alert_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
)

// hooked returns a watcher with one webhook.
func hooked(t *testing.T, url, secret string) *alert.Watcher {
	t.Helper()
	w := alert.New(newFake(), nil)
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
	for _, url := range []string{"http://169.254.169.254/", "http://[fe80::1%25lo]/", "http://[::ffff:169.254.169.254]/", "http://224.0.0.1/"} {
		if err := hooked(t, url, "").Test(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "link-local") {
			t.Errorf("%s: got %v", url, err)
		}
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
