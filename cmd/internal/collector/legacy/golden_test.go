package legacy_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A pair is a request in testdata/pairs.json and its answer. The answer is the
// worker's, unless Differs explains the difference.
type pair struct {
	What    string            `json:"what"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"` // a string is sent verbatim
	Pad     int               `json:"pad"`  // bytes to add to the body
	Status  int               `json:"status"`
	Answer  json.RawMessage   `json:"answer"`
	// WantHeaders are headers of the answer.
	WantHeaders map[string]string `json:"want_headers"`
	Differs     string            `json:"differs"`
}

func (p *pair) request(t *testing.T) *http.Request {
	body := string(p.Body)
	var text string
	if json.Unmarshal(p.Body, &text) == nil {
		body = text
	}
	if p.Pad > 0 {
		body = strings.TrimSuffix(body, "}") + `,"pad":"` + strings.Repeat("x", p.Pad) + `"}`
	}
	r := httptest.NewRequestWithContext(t.Context(), p.Method, p.Path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for name, value := range p.Headers {
		r.Header.Set(name, value)
	}
	return r
}

func readPairs(t *testing.T) []pair {
	data, err := os.ReadFile("testdata/pairs.json")
	if err != nil {
		t.Fatal(err)
	}
	var pairs []pair
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&pairs); err != nil {
		t.Fatal(err)
	}
	return pairs
}

// The answers are the worker's. One collector receives all requests, a minute
// apart because of the limits.
func TestPairs(t *testing.T) {
	pairs := readPairs(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for _, p := range pairs {
			time.Sleep(time.Minute)
			req := p.request(t)
			req.Header.Set("Authorization", "Bearer wamf")
			w := httptest.NewRecorder()
			r.handler.ServeHTTP(w, req)
			if w.Code != p.Status {
				t.Errorf("%s: got %d %s, want %d", p.What, w.Code, w.Body, p.Status)
			}
			for name, want := range p.WantHeaders {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: got %s %q, want %q", p.What, name, got, want)
				}
			}
			if p.Answer == nil {
				continue
			}
			var got, want any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Errorf("%s: got %s: %v", p.What, w.Body, err)
			} else if err := json.Unmarshal(p.Answer, &want); err != nil {
				t.Fatal(err)
			} else if !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\ngot  %s\nwant %s", p.What, w.Body, p.Answer)
			}
		}
	})
}
