package agent_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/installid"
)

func serve(t *testing.T, h http.Handler) (url string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func TestAsk(t *testing.T) {
	service := newFakeService()
	id := installid.New()
	service.settle(func(st *rollcall.Status) {
		st.ID, st.Persisted, st.Consent = id, true, rollcall.Decision{
			State: rollcall.Granted, Source: rollcall.Source{Kind: rollcall.SourceConfig, Name: "telemetry.enabled"},
		}
	})
	url := serve(t, newHandler(t, service, agent.Options{Version: "v1.2.3"}))
	for _, base := range []string{url, url + "/"} {
		reply, err := agent.Ask(t.Context(), base)
		if err != nil {
			t.Fatal(err)
		}
		if reply.ID != id || !reply.Persisted || reply.Consent.State != rollcall.Granted || reply.Consent.Source.Name != "telemetry.enabled" || reply.Version != "v1.2.3" {
			t.Errorf("got %+v", reply)
		}
		if !strings.Contains(string(reply.Raw), `"reporting"`) {
			t.Errorf("got %s, want the whole status", reply.Raw)
		}
	}
}

func TestAskSomethingElse(t *testing.T) {
	var followed bool
	elsewhere := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	misdirected, err := agent.New(newFakeService(), agent.Options{Listen: []string{"0.0.0.0:1"}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"text", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }, "not a rollcall agent"},
		{"other JSON", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"a":1}`)) }, "answers something else"},
		{"not found", http.NotFound, "answers 404 Not Found"},
		{"redirect", http.RedirectHandler(elsewhere, http.StatusFound).ServeHTTP, "answers 302 Found"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for range 64 { // far more than is read
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}, "not a rollcall agent"},
		{"refused", func(w http.ResponseWriter, r *http.Request) {
			r.Host = "evil.example"
			misdirected.Handler().ServeHTTP(w, r)
		}, "misdirected request: the Host header names another server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := agent.Ask(t.Context(), serve(t, tt.handler))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if followed {
		t.Error("followed a redirect")
	}
}

func TestAskNobody(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // accepts connections and never answers
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := agent.Ask(ctx, "http://"+listener.Addr().String()); err == nil {
		t.Error("got no error from a silent server")
	}
	for _, base := range []string{"", "127.0.0.1:8946", "ftp://127.0.0.1", "http://", "http://%zz", "unix//run/x"} {
		if _, err := agent.Ask(t.Context(), base); err == nil || !strings.Contains(err.Error(), "neither a URL") {
			t.Errorf("got %v for %q, want \"neither a URL\"", err, base)
		}
	}
}
