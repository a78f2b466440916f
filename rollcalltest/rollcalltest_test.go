package rollcalltest_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

const id = "8f14e45f-ceea-467f-9575-5a2b5d1f3c11"

func post(t *testing.T, url string, body []byte) int {
	t.Helper()
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func heartbeat(t *testing.T) []byte {
	t.Helper()
	h := report.Heartbeat{Schema: 1, App: "app", InstallationID: id, IDPersistence: report.Persisted, SentAt: time.Now()}
	body, err := h.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestCollector(t *testing.T) {
	c := rollcalltest.NewCollector(t)
	arrived := c.Arrived()
	if status := post(t, c.URL+"/v1/heartbeat", heartbeat(t)); status != http.StatusOK {
		t.Errorf("heartbeat: got %d", status)
	}
	<-arrived
	if status := post(t, c.URL+"/v1/heartbeat", []byte(`{"schema":1}`)); status != http.StatusBadRequest {
		t.Errorf("heartbeat without fields: got %d", status)
	}
	if status := post(t, c.URL+"/elsewhere", nil); status != http.StatusNotFound {
		t.Errorf("unknown path: got %d", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, c.URL+"/v1/installations/"+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := c.Heartbeats(); len(got) != 1 || got[0].InstallationID != id {
		t.Errorf("got %+v, want the one that was accepted", got)
	}
	if got := c.Forgotten(); len(got) != 1 || got[0] != id {
		t.Errorf("forgotten: got %v, want %s", got, id)
	}
	if got := len(c.Requests()); got != 4 {
		t.Errorf("got %d requests, want 4", got)
	}
}

func TestCollectorAnswers(t *testing.T) {
	c := rollcalltest.NewCollector(t)
	c.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusGone)
		return true
	})
	if status := post(t, c.URL+"/v1/heartbeat", heartbeat(t)); status != http.StatusGone {
		t.Errorf("got %d, want 410", status)
	}
	c.Answer(nil)
	if status := post(t, c.URL+"/v1/heartbeat", heartbeat(t)); status != http.StatusOK {
		t.Errorf("got %d, want 200", status)
	}
	if got := len(c.Heartbeats()); got != 1 {
		t.Errorf("got %d accepted, want 1", got)
	}
}

func TestMemory(t *testing.T) {
	var m rollcalltest.Memory
	ctx := t.Context()
	if got, err := m.Load(ctx); got != "" || err != nil {
		t.Errorf("got %q, %v, want nothing", got, err)
	}
	if err := m.Save(ctx, id); err != nil {
		t.Error(err)
	}
	if got, err := m.Load(ctx); got != id || err != nil || m.Saves() != 1 {
		t.Errorf("got %q, %v after %d saves", got, err, m.Saves())
	}
	failure := errors.New("no")
	m.Fail(failure)
	if _, err := m.Load(ctx); !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
	if err := m.Save(ctx, "other"); !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
}
