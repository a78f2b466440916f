package daemon

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	load := func() (string, error) {
		text, err := os.ReadFile(file)
		if string(text) == "broken!" {
			err = errors.New("broken")
		}
		return string(text), err
	}
	synctest.Test(t, func(t *testing.T) {
		w, err := newReloaded(slog.New(slog.DiscardHandler), load, file)
		if err != nil {
			t.Fatal(err)
		}
		want := func(text string) {
			t.Helper()
			if got := w.get(); got != text {
				t.Errorf("got %q, want %q", got, text)
			}
		}
		write("the second")
		want("first") // the last check is too recent
		time.Sleep(checkInterval)
		want("the second")
		write("broken!")
		time.Sleep(checkInterval)
		want("the second")
		write("a third one")
		time.Sleep(checkInterval)
		want("a third one")
		os.Remove(file)
		time.Sleep(checkInterval)
		want("a third one")
	})
}

func TestRedirectToTLS(t *testing.T) {
	tests := []struct {
		method, url string
		status      int
		location    string
	}{
		{http.MethodGet, "http://collector.example/a?b=c", http.StatusMovedPermanently, "https://collector.example/a?b=c"},
		{http.MethodGet, "http://collector.example:80/", http.StatusMovedPermanently, "https://collector.example/"},
		{http.MethodGet, "http://Collector.Example/", http.StatusMovedPermanently, "https://Collector.Example/"},
		{http.MethodGet, "http://[2001:db8::1]:80/a", http.StatusMovedPermanently, "https://[2001:db8::1]/a"},
		{http.MethodGet, "http://[2001:db8::1]/a", http.StatusMovedPermanently, "https://[2001:db8::1]/a"},
		{http.MethodGet, "http://evil.example/", http.StatusMisdirectedRequest, ""},
		{http.MethodPost, "http://collector.example/v1/heartbeat", http.StatusBadRequest, ""},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		redirectToTLS(func(host string) bool { return host == "collector.example" || strings.Contains(host, "2001:db8::1") })(w, httptest.NewRequest(tt.method, tt.url, nil))
		if w.Code != tt.status || w.Header().Get("Location") != tt.location {
			t.Errorf("%s %s: got %d to %q, want %d to %q", tt.method, tt.url, w.Code, w.Header().Get("Location"), tt.status, tt.location)
		}
	}
}

// Names are the same in upper case.
func TestRedirectOfAuthority(t *testing.T) {
	plain := encryptionFromAuthority(&Options{Dir: t.TempDir(), ACMEDomains: []string{"Collector.Example"}}).plain
	w := httptest.NewRecorder()
	plain.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://collector.example/a", nil))
	if w.Code != http.StatusMovedPermanently {
		t.Errorf("got %d", w.Code)
	}
}
