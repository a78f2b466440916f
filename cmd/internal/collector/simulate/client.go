package simulate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The paths of reports.
const (
	HeartbeatPath = "/v1/heartbeat"
	HealthPath    = "/v1/health"
)

// A Client sends reports to one collector. One goroutine uses it.
type Client interface {
	// Send posts a report to a path of the collector, and waits at
	// most 30 seconds for the answer. After an error the collector
	// may or may not have counted the report.
	Send(path string, body []byte) (Answer, error)
	// Close closes the connection, if one is open.
	Close()
}

// An Answer is a collector's answer to one report.
type Answer struct {
	Status int
	// RetryAfter is how long the collector asks the sender to wait
	// before it tries again; 0 if it does not.
	RetryAfter time.Duration
}

// An httpClient has one connection and uses no proxy.
type httpClient struct {
	endpoint *url.URL
	http     http.Client
}

// connect returns an httpClient for an endpoint, http or https. The
// first Send opens the connection; when ctx ends none is opened any
// more.
func connect(ctx context.Context, endpoint string) (Client, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("endpoint %q is not an http or https URL", endpoint)
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	return &httpClient{
		endpoint: u,
		http: http.Client{
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				// Requests outlive ctx, connection attempts do not.
				DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
					return dialer.DialContext(ctx, network, address)
				},
				MaxConnsPerHost:    1,
				DisableCompression: true,
			},
		},
	}, nil
}

func (c *httpClient) Send(path string, body []byte) (Answer, error) {
	request, err := http.NewRequest(http.MethodPost, c.endpoint.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "rollcall-simulate")
	response, err := c.http.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection stays open
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))    // 0 for a date, which a collector never sends
	return Answer{response.StatusCode, time.Duration(seconds) * time.Second}, nil
}

func (c *httpClient) Close() { c.http.CloseIdleConnections() }
