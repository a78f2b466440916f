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
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
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
	// key is the secret, if the client was given it; then keys go over the wire in
	// place of installation IDs.
	key    []byte
	secret *secret.Secret
}

// connectTimeout is for a process that is starting or ending.
const connectTimeout = 5 * time.Second

// Connect connects to the collector of a data directory. Its errors are
// [ErrUntrusted] and those of [datadir.Open]; [sqlite.ErrInUse] and
// [*postgres.HeldError] mean that a process has the data open and does not answer
// on this machine within 5 seconds, or once more after an attempt that took longer.
func Connect(ctx context.Context, dir string, opts datadir.Options) (*Client, error) {
	for deadline := time.Now().Add(connectTimeout); ; {
		last := time.Now().After(deadline) // one slow attempt may have used it up
		d, err := datadir.Open(ctx, dir, opts)
		_, held := errors.AsType[*postgres.HeldError](err)
		switch {
		case err == nil:
			c := inProcess(d)
			c.key = opts.Secret
			return c, nil
		case !held && !errors.Is(err, sqlite.ErrInUse) && !errors.Is(err, datadir.ErrNoData):
			return nil, err
		}
		if held {
			if c := connectToLeader(ctx, dir, opts, err); c != nil {
				return c, nil
			}
		}
		c, dialErr := dial(dir)
		switch {
		case dialErr == nil && c.ping(ctx) == nil:
			return c, nil
		case errors.Is(dialErr, ErrUntrusted):
			return nil, dialErr
		}
		// Without data there is nobody to wait for, unless a collector that counts in
		// a database uses the directory.
		if last || errors.Is(err, datadir.ErrNoData) {
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
	file, err := readControlFile(dir)
	if err != nil {
		return nil, err
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

// ChangeApp applies change to an app and returns the result. It may call change
// again if somebody else changes the app first. Errors are
// collector.ErrUnknownApp and those of [engine.Engine.UpdateApp].
func (c *Client) ChangeApp(ctx context.Context, key string, change func(*collector.App)) (collector.App, error) {
	read := func() (collector.App, error) { return c.App(ctx, key) }
	return changed(ctx, c, "/apps/"+url.PathEscape(key), read, func(app *collector.App) (bool, error) {
		change(app)
		return true, nil
	})
}

// changed reads a value, changes it, and saves it if change returns true. If
// somebody else saved first, it starts over.
func changed[T any](ctx context.Context, c *Client, path string, read func() (T, error), change func(*T) (bool, error)) (T, error) {
	for {
		var e edit[T]
		var err error
		if e.Now, err = read(); err == nil {
			e.Was, err = json.Marshal(e.Now)
		}
		if err != nil {
			return e.Now, err
		}
		if save, err := change(&e.Now); err != nil || !save {
			return e.Now, err
		}
		if _, err = call[none](ctx, c, http.MethodPut, path, e); !errors.Is(err, ErrEdited) {
			return e.Now, err
		}
	}
}

// Declared calls [engine.Engine.Declared].
func (c *Client) Declared(ctx context.Context, app string) (collector.Declarations, error) {
	return call[collector.Declarations](ctx, c, http.MethodGet, "/apps/"+url.PathEscape(app)+"/declared", nil)
}

// ChangeDeclared applies change to an app's declarations, saves them if change
// returns true, and returns them. It may call change more than once.
func (c *Client) ChangeDeclared(ctx context.Context, app string, change func(*collector.Declarations) (bool, error)) (collector.Declarations, error) {
	read := func() (collector.Declarations, error) { return c.Declared(ctx, app) }
	return changed(ctx, c, "/apps/"+url.PathEscape(app)+"/declared", read, change)
}

// Clear calls [engine.Engine.Clear]. It returns what had been turned away.
func (c *Client) Clear(ctx context.Context, app string) (Cleared, error) {
	return call[Cleared](ctx, c, http.MethodPost, "/apps/"+url.PathEscape(app)+"/clear", nil)
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
func (c *Client) RevokeToken(ctx context.Context, app, name string) error {
	_, err := call[none](ctx, c, http.MethodDelete, "/tokens?"+url.Values{"app": {app}, "name": {name}}.Encode(), nil)
	return err
}

// Audit calls [audit.Log.Entries].
func (c *Client) Audit(ctx context.Context, app string) ([]audit.Entry, error) {
	return call[[]audit.Entry](ctx, c, http.MethodGet, "/audit?"+url.Values{"app": {app}}.Encode(), nil)
}

// Check checks the store for damage; see [collector.Store].
func (c *Client) Check(ctx context.Context) error {
	_, err := call[none](ctx, c, http.MethodPost, "/check", nil)
	return err
}

// Scrub calls [datadir.Dir.Scrub].
func (c *Client) Scrub(ctx context.Context) error {
	_, err := call[none](ctx, c, http.MethodPost, "/scrub", nil)
	return err
}

// Warnings calls [datadir.Dir.Warnings].
func (c *Client) Warnings(ctx context.Context) ([]postgres.Warning, error) {
	return call[[]postgres.Warning](ctx, c, http.MethodGet, "/warnings", nil)
}

// RefusedIDs calls [engine.Engine.RefusedIDs].
func (c *Client) RefusedIDs(ctx context.Context, app string) ([]collector.RefusedID, error) {
	return call[[]collector.RefusedID](ctx, c, http.MethodGet, "/apps/"+url.PathEscape(app)+"/refused", nil)
}

// RefuseID calls [engine.Engine.RefuseID]. The ID is canonical.
func (c *Client) RefuseID(ctx context.Context, app, id string) error {
	path := "/apps/" + url.PathEscape(app) + "/refused/" + url.PathEscape(id)
	if c.secret != nil {
		path = c.keyPath(app, id) + "?shown=" + url.QueryEscape(id[:min(engine.ShownChars, len(id))])
	}
	_, err := call[none](ctx, c, http.MethodPut, path, nil)
	return err
}

// AllowID calls [engine.Engine.AllowID]. The ID is canonical.
func (c *Client) AllowID(ctx context.Context, app, id string) error {
	path := "/apps/" + url.PathEscape(app) + "/refused/" + url.PathEscape(id)
	if c.secret != nil {
		path = c.keyPath(app, id)
	}
	_, err := call[none](ctx, c, http.MethodDelete, path, nil)
	return err
}

// Clock calls [engine.Engine.Clock].
func (c *Client) Clock(ctx context.Context) (collector.Clock, error) {
	return call[collector.Clock](ctx, c, http.MethodGet, "/clock", nil)
}

// FixDay calls [engine.Engine.FixDay].
func (c *Client) FixDay(ctx context.Context) (FixedDay, error) {
	return call[FixedDay](ctx, c, http.MethodPost, "/day", nil)
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
		if err := c.copySecret(dest); err != nil {
			return err
		}
	}
	if err := c.fetchStore(ctx, filepath.Join(dest, datadir.DatabaseFile), opts.Progress); err != nil {
		return err
	}
	return errors.Join(durable.SyncDir(dest), durable.SyncDir(filepath.Dir(dest)))
}

// BackupOptions configure [Client.Backup].
type BackupOptions struct {
	// WithoutSecret leaves out the secret, which a restore then needs to be given.
	WithoutSecret bool
	// Progress, if not nil, is called with the bytes that are written so far, and
	// all, once the collector has made its copy.
	Progress func(written, all int64)
}

func (c *Client) fetchStore(ctx context.Context, name string, progress func(written, all int64)) error {
	response, err := c.do(ctx, http.MethodGet, "/backup", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	to := io.Writer(file)
	if progress != nil {
		to = &counted{Writer: file, all: response.ContentLength, progress: progress}
	}
	_, err = io.Copy(to, response.Body)
	return errors.Join(err, file.Sync(), file.Close())
}

// A counted writer says how much was written to it.
type counted struct {
	io.Writer
	written, all int64
	progress     func(written, all int64)
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.written += int64(n)
	c.progress(c.written, c.all)
	return n, err
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
