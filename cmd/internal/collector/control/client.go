package control

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
	"slices"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

// A Client sends commands to the collector of a data directory: to the process
// that runs it or, if none does, to a collector in this process that runs
// until Close. It is safe for concurrent use.
type Client struct {
	dir   string
	token string
	base  string // URL
	http  *http.Client
	close func()
}

// connectTimeout is for a process that is starting or ending.
const connectTimeout = 5 * time.Second

// Connect connects to the collector of a data directory. Its errors are those
// of [datadir.Open]; [sqlite.ErrInUse] means that a process has the directory
// open and does not answer within 5 seconds.
func Connect(ctx context.Context, dir string, opts datadir.Options) (*Client, error) {
	for deadline := time.Now().Add(connectTimeout); ; {
		d, err := datadir.Open(ctx, dir, opts)
		switch {
		case err == nil:
			return inProcess(d), nil
		case !errors.Is(err, sqlite.ErrInUse):
			return nil, err
		}
		if c, dialErr := dial(dir); dialErr == nil && c.ping(ctx) == nil {
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

// dial returns a client of the process that has written its address to the
// directory. It sends nothing yet.
func dial(dir string) (*Client, error) {
	text, err := os.ReadFile(filepath.Join(dir, datadir.ControlFile))
	if err != nil {
		return nil, err
	}
	var file controlFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read %s: %w", datadir.ControlFile, err)
	}
	// No proxy, whatever the environment says.
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext}
	return &Client{
		dir: dir, token: file.Token, base: "http://" + file.Address,
		http: &http.Client{Transport: transport}, close: transport.CloseIdleConnections,
	}, nil
}

// inProcess returns a client of a collector in this process. The two
// communicate as two processes would, through a pipe.
func inProcess(d *datadir.Dir) *Client {
	s := NewServer(d, slog.New(slog.DiscardHandler))
	pipe := newPipe()
	go s.http.Serve(pipe)
	transport := &http.Transport{DialContext: pipe.dial}
	return &Client{
		dir: d.Path, token: s.token, base: "http://collector", http: &http.Client{Transport: transport},
		close: func() {
			transport.CloseIdleConnections()
			s.http.Close()
			d.Close()
		},
	}
}

// Close closes the client, and the collector if it runs in this process.
func (c *Client) Close() { c.close() }

// A remoteError is the error of a command, with its text and identity.
type remoteError struct {
	text string
	is   error // one of codes, or nil
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

// do sends a command. The caller closes the body of the response.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
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
	if json.NewDecoder(io.LimitReader(response.Body, maxCommandBytes)).Decode(&f) != nil || f.Error == "" {
		return nil, fmt.Errorf("ask the running collector: it answered %s", response.Status)
	}
	return nil, &remoteError{f.Error, codes[f.Code]}
}

// call sends a command and decodes its result. The body is sent as it is if it
// is a reader, else as JSON; nil is no body.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (result T, err error) {
	reader, ok := body.(io.Reader)
	if !ok && body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return result, err
		}
		reader = bytes.NewReader(text)
	}
	response, err := c.do(ctx, method, path, reader)
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
	_, err := call[none](ctx, c, http.MethodGet, "/ping", nil)
	return err
}

// Apps returns all apps in the order of their keys.
func (c *Client) Apps(ctx context.Context) ([]collector.App, error) {
	return call[[]collector.App](ctx, c, http.MethodGet, "/apps", nil)
}

// App returns the app with a key, or collector.ErrUnknownApp.
func (c *Client) App(ctx context.Context, key string) (collector.App, error) {
	apps, err := c.Apps(ctx)
	if err != nil {
		return collector.App{}, err
	}
	if i := slices.IndexFunc(apps, func(app collector.App) bool { return app.Key == key }); i >= 0 {
		return apps[i], nil
	}
	return collector.App{}, fmt.Errorf("%w: %s", collector.ErrUnknownApp, key)
}

// AddApp calls [engine.Engine.AddApp].
func (c *Client) AddApp(ctx context.Context, app collector.App) (collector.App, error) {
	return call[collector.App](ctx, c, http.MethodPost, "/apps", app)
}

// UpdateApp calls [engine.Engine.UpdateApp].
func (c *Client) UpdateApp(ctx context.Context, app collector.App) error {
	_, err := call[none](ctx, c, http.MethodPut, "/apps/"+url.PathEscape(app.Key), app)
	return err
}

// Tokens calls [access.Tokens.List].
func (c *Client) Tokens(ctx context.Context) ([]access.Token, error) {
	return call[[]access.Token](ctx, c, http.MethodGet, "/tokens", nil)
}

// AddToken calls [access.Tokens.Add]. The app must exist.
func (c *Client) AddToken(ctx context.Context, token NewToken) (string, error) {
	return call[string](ctx, c, http.MethodPost, "/tokens", token)
}

// RevokeToken calls [access.Tokens.Revoke].
func (c *Client) RevokeToken(ctx context.Context, name string) error {
	_, err := call[none](ctx, c, http.MethodDelete, "/tokens?name="+url.QueryEscape(name), nil)
	return err
}

// Check checks the store for damage; see [collector.Store].
func (c *Client) Check(ctx context.Context) error {
	_, err := call[none](ctx, c, http.MethodPost, "/check", nil)
	return err
}

// Series returns the figures of all days of an app.
func (c *Client) Series(ctx context.Context, app string) (figures.Series, error) {
	return call[figures.Series](ctx, c, http.MethodGet, "/apps/"+url.PathEscape(app)+"/series", nil)
}

// Export writes the totals of an app's closed days for Import.
func (c *Client) Export(ctx context.Context, app string, w io.Writer) error {
	response, err := c.do(ctx, http.MethodGet, totalsPath(app), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(w, response.Body)
	return err
}

// Import loads totals that Export wrote into an app that has counted nothing
// yet; see [engine.Engine.ImportTotals].
func (c *Client) Import(ctx context.Context, app string, r io.Reader) (Imported, error) {
	return call[Imported](ctx, c, http.MethodPost, totalsPath(app), io.NopCloser(r))
}

func totalsPath(app string) string { return "/apps/" + url.PathEscape(app) + "/totals" }

// Backup creates a directory with a copy of the store, current as of the end
// of the copy, and optionally a copy of the secret. The collector continues
// meanwhile. A backup that fails leaves nothing behind.
func (c *Client) Backup(ctx context.Context, dest string, opts BackupOptions) (err error) {
	if err := os.Mkdir(dest, 0o700); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dest)
			err = fmt.Errorf("back up: %w", err)
		}
	}()
	if !opts.WithoutSecret {
		if err := datadir.CopySecret(c.dir, dest); err != nil {
			return err
		}
	}
	if err := c.fetchStore(ctx, filepath.Join(dest, datadir.DatabaseFile)); err != nil {
		return err
	}
	return errors.Join(durable.SyncDir(dest), durable.SyncDir(filepath.Dir(dest)))
}

// BackupOptions configure [Client.Backup].
type BackupOptions struct {
	// WithoutSecret leaves out the secret, which a restore then needs to be given.
	WithoutSecret bool
}

func (c *Client) fetchStore(ctx context.Context, name string) error {
	response, err := c.do(ctx, http.MethodGet, "/backup", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, response.Body)
	return errors.Join(err, file.Sync(), file.Close())
}

// A pipe is a listener whose connections stay inside the process.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipe() *pipe { return &pipe{conns: make(chan net.Conn), closed: make(chan struct{})} }

// dial connects to the listener, whatever the address.
func (p *pipe) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements [net.Listener].
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
