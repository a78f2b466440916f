package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
)

// A Client gives instructions to the collector of a data folder: to the process that runs it, or, when none does, to one
// inside this process for as long as the client is open. Make it with [Connect]. It is safe for concurrent use.
type Client struct {
	// Running says that another process runs the collector.
	Running bool

	word  string
	http  *http.Client
	base  string
	close func()
}

// connectTimeout bounds how long a process that has the folder may take to answer: one that starts, or ends.
const connectTimeout = 5 * time.Second

// Connect finds the collector of a data folder. Create makes the folder and what belongs in it when they are missing;
// else that is ErrNoData. The error is
// [sqlite.ErrInUse] when a process has the folder and does not answer within 5 seconds.
func Connect(ctx context.Context, dir string, create bool, log *slog.Logger) (*Client, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	for deadline := time.Now().Add(connectTimeout); ; {
		d, err := openData(ctx, dir, create, log)
		switch {
		case err == nil:
			return inside(d, log), nil
		case !errors.Is(err, sqlite.ErrInUse):
			return nil, err
		}
		if c, dialErr := dialControl(dir); dialErr == nil && c.ping(ctx) == nil {
			return c, nil
		}
		if time.Now().After(deadline) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// dialControl reads where the process of a folder takes instructions. It does not ask it anything yet.
func dialControl(dir string) (*Client, error) {
	text, err := os.ReadFile(filepath.Join(dir, controlName))
	if err != nil {
		return nil, err
	}
	var file controlFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read %s: %w", controlName, err)
	}
	// No proxy of the environment comes between.
	transport := &http.Transport{Proxy: nil, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext}
	return &Client{
		Running: true, word: file.Word, base: "http://" + file.Address,
		http: &http.Client{Transport: transport}, close: transport.CloseIdleConnections,
	}, nil
}

// inside gives a client of a collector in this process. They talk as two processes would, through a pipe.
func inside(d *data, log *slog.Logger) *Client {
	c := newControl(d, "", log)
	pipes := newPipes()
	go c.server.Serve(pipes)
	transport := &http.Transport{DialContext: pipes.dial}
	return &Client{
		word: c.word, base: "http://collector", http: &http.Client{Transport: transport},
		close: func() {
			ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
			defer cancel()
			transport.CloseIdleConnections()
			c.server.Close()
			d.close(ctx, log)
		},
	}
}

// Close ends the client, and the collector inside this process when there is one.
func (c *Client) Close() { c.close() }

// An instruction that failed keeps its text, and what of codes it is.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

// do sends an instruction; the caller closes the body of the answer.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.word)
	response, err := c.http.Do(r)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return nil, fmt.Errorf("ask the running collector: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	var f failure
	if json.NewDecoder(io.LimitReader(response.Body, maxInstruction)).Decode(&f) != nil || f.Error == "" {
		return nil, fmt.Errorf("ask the running collector: it answered %s", response.Status)
	}
	return nil, &remoteError{f.Error, codes[f.Code]}
}

// call sends an instruction with a body in JSON, if it is not nil, and reads the answer.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (result T, err error) {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return result, err
		}
		in = bytes.NewReader(text)
	}
	response, err := c.do(ctx, method, path, in)
	if err != nil {
		return result, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&result); err != nil {
		return result, fmt.Errorf("read the answer of the collector: %w", err)
	}
	return result, nil
}

func (c *Client) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := c.Status(ctx)
	return err
}

// Status says how a running collector is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/status", nil)
}

// Apps gives all apps in the order of their keys.
func (c *Client) Apps(ctx context.Context) ([]collector.App, error) {
	return call[[]collector.App](ctx, c, http.MethodGet, "/apps", nil)
}

// App finds an app by its key; the error is collector.ErrUnknownApp when there is none.
func (c *Client) App(ctx context.Context, key string) (collector.App, error) {
	apps, err := c.Apps(ctx)
	if err != nil {
		return collector.App{}, err
	}
	for _, app := range apps {
		if app.Key == key {
			return app, nil
		}
	}
	return collector.App{}, fmt.Errorf("%w: %s", collector.ErrUnknownApp, key)
}

// AddApp is [collector.Collector.AddApp].
func (c *Client) AddApp(ctx context.Context, app collector.App) (collector.App, error) {
	return call[collector.App](ctx, c, http.MethodPost, "/apps", app)
}

// UpdateApp is [collector.Collector.UpdateApp].
func (c *Client) UpdateApp(ctx context.Context, app collector.App) error {
	_, err := call[done](ctx, c, http.MethodPut, "/apps/"+url.PathEscape(app.Key), app)
	return err
}

// Tokens is [access.Keeper.List].
func (c *Client) Tokens(ctx context.Context) ([]access.Token, error) {
	return call[[]access.Token](ctx, c, http.MethodGet, "/tokens", nil)
}

// AddToken is [access.Keeper.Add]. The app has to be known.
func (c *Client) AddToken(ctx context.Context, token NewToken) (string, error) {
	return call[string](ctx, c, http.MethodPost, "/tokens", token)
}

// RevokeToken is [access.Keeper.Revoke].
func (c *Client) RevokeToken(ctx context.Context, name string) error {
	_, err := call[done](ctx, c, http.MethodDelete, "/tokens?name="+url.QueryEscape(name), nil)
	return err
}

// Check looks whether the store is whole; see [collector.Store].
func (c *Client) Check(ctx context.Context) error {
	_, err := call[done](ctx, c, http.MethodPost, "/check", nil)
	return err
}

// Series gives the figures of all days of an app.
func (c *Client) Series(ctx context.Context, app string) (collector.Series, error) {
	return call[collector.Series](ctx, c, http.MethodGet, "/apps/"+url.PathEscape(app)+"/series", nil)
}

// Export writes the totals of an app's closed days as JSON lines, which Import takes.
func (c *Client) Export(ctx context.Context, app string, w io.Writer) error {
	response, err := c.do(ctx, http.MethodGet, "/apps/"+url.PathEscape(app)+"/totals", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(w, response.Body)
	return err
}

// Import puts totals that Export wrote into an app that has counted nothing yet; see
// [collector.Collector.ImportTotals].
func (c *Client) Import(ctx context.Context, app string, r io.Reader) (Imported, error) {
	response, err := c.do(ctx, http.MethodPost, "/apps/"+url.PathEscape(app)+"/totals", r)
	if err != nil {
		return Imported{}, err
	}
	defer response.Body.Close()
	var result Imported
	err = json.NewDecoder(response.Body).Decode(&result)
	return result, err
}
