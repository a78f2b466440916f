//go:build !rollcall_nosend

package sender

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/rollcall-dev/rollcall/internal/flight"
)

// A RoundTripper makes a request. In a build without the client it is any.
type RoundTripper = http.RoundTripper

// A bounded transport is one of the host, which may hang: a request ends with
// its context whatever the transport does, and costs at most one goroutine.
type bounded struct {
	inner    http.RoundTripper
	requests *flight.Flight
	most     int // bytes of an answer's body, or one more
}

// RoundTrip returns an answer whose body was read.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	return flight.Do(r.Context(), b.requests, "request through the host's transport", func(context.Context) (*http.Response, error) {
		resp, err := b.inner.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		// The caller may have left, so the body ends here.
		body, err := io.ReadAll(io.LimitReader(resp.Body, int64(b.most)+1))
		resp.Body.Close()
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
		return resp, nil
	})
}

// failing fails with an error, or ends without one.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}
