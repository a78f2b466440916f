//go:build !rollcall_nosend

package sender

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// endless is a body that never ends, and notes that it was closed.
type endless struct{ closed bool }

func (endless) Read(p []byte) (int, error) { return len(p), nil }
func (e *endless) Close() error            { e.closed = true; return nil }

// TestHostTransport: an endless answer is read within bounds and closed, and
// redirects follow the same rules as with the client's own transport.
func TestHostTransport(t *testing.T) {
	body := new(endless)
	var paths []string
	answer := func(r *http.Request) (*http.Response, error) {
		paths = append(paths, r.URL.String())
		if r.URL.Path == "/moved" {
			return &http.Response{StatusCode: 308, Header: http.Header{"Location": {"https://elsewhere.example/"}}, Body: io.NopCloser(strings.NewReader(""))}, nil
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body}, nil
	}
	do, err := newClient(t.Context(), Config{Transport: roundTripper(answer)}, newNetwork())
	if err != nil {
		t.Fatal(err)
	}
	post := func(url string) *Error {
		_, err := do(t.Context(), Message{Method: "POST", URL: url, Body: []byte("{}")})
		return err
	}
	if err := post("https://collector.example/v1/heartbeat"); err != nil || !body.closed {
		t.Errorf("got %v, body closed: %v", err, body.closed)
	}
	if err := post("https://collector.example/moved"); err == nil || !err.Refused || len(paths) != 2 {
		t.Errorf("got %v after %q, though the redirect leads to another host", err, paths)
	}
	failing := roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("secret") })
	if do, err = newClient(t.Context(), Config{Transport: failing}, newNetwork()); err != nil {
		t.Fatal(err)
	}
	if err := post("https://collector.example/"); err == nil || strings.Contains(err.Text, "secret") {
		t.Errorf("got %v", err)
	}
}
