package daemon

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
)

// openData is the data while it is open, with all that works on it. When the
// store is lost, everything in it ends, and another one takes its place.
type openData struct {
	dir        *datadir.Dir
	control    *control.Server
	handler    http.Handler
	background []func(context.Context)
}

// openData opens the data directory and the store. Country is as for newHandler.
func (d *Daemon) openData(ctx context.Context, opts datadir.Options, country func(netip.Addr) string) (_ *openData, err error) {
	dir, err := datadir.Open(ctx, d.opts.Dir, opts)
	if err != nil {
		return nil, err
	}
	data := &openData{dir: dir, background: []func(context.Context){dir.Audit.Run}}
	defer func() {
		if err != nil {
			dir.Shutdown(ctx)
		}
	}()
	if d.tls.tickets != nil {
		d.tls.tickets.secret.Store(dir.Secret)
	}
	if data.handler, err = d.newHandler(data, country); err != nil {
		return nil, err
	}
	if d.opts.Wrap != nil {
		data.handler = d.opts.Wrap(data.handler)
	}
	data.control = control.NewServer(dir, d.log)
	if err := data.control.Listen(); err != nil {
		if !d.opts.Wait || !isTransient(err) {
			return nil, err
		}
		d.log.Error("Verbs cannot reach the collector until this can be written", "error", err.Error())
		data.background = append(data.background, data.listenLater)
	}
	return data, nil
}

// listenLater makes the verbs work as soon as there is space for the file.
func (d *openData) listenLater(ctx context.Context) {
	every(ctx, waitInterval, func() bool { return d.control.Listen() == nil })
}

// isTransient reports whether an error of the data may pass.
func isTransient(err error) bool {
	return errors.Is(err, collector.ErrUnavailable) || errors.Is(err, collector.ErrLost) || isHeld(err) ||
		errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// isHeld reports whether another process counts in the database.
func isHeld(err error) bool {
	_, held := errors.AsType[*postgres.HeldError](err)
	return held
}

// logWaiting logs why the data cannot be opened yet, once.
func (d *Daemon) logWaiting(err error) {
	if held := isHeld(err); held && d.waits != waitsForLead {
		d.waits = waitsForLead
		d.log.Info("Another collector counts in the database; this one waits and refuses requests", "error", err.Error())
	} else if !held && d.waits != waitsForData {
		d.waits = waitsForData
		d.log.Error("Data directory cannot be opened yet; requests are refused until it can", "error", err.Error())
	}
}

// waits is what a daemon without data waits for.
type waits int

const (
	waitsForNothing waits = iota
	waitsForData
	waitsForLead
)

const (
	// waitInterval is the time between two attempts while the disk is full, and
	// databaseInterval while a database is away or another process counts in it.
	waitInterval     = 5 * time.Second
	databaseInterval = 500 * time.Millisecond
	// lostTimeout bounds the end of what worked on a store that is lost.
	lostTimeout = 5 * time.Second
)

// every calls try until it succeeds or ctx ends.
func every(ctx context.Context, interval time.Duration, try func() bool) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if try() {
				return
			}
		}
	}
}

// keepOpen opens the data unless it is open, and again whenever the store is
// lost, until ctx ends. It returns an error that will not pass.
func (d *Daemon) keepOpen(ctx context.Context) error {
	for {
		data := d.data.Load()
		if data == nil {
			var err error
			if data, err = d.waitForData(ctx); data == nil {
				return err
			}
			d.data.Store(data)
		}
		d.work(ctx, data)
		if ctx.Err() != nil {
			return nil
		}
		// The store is lost. What was acknowledged is there, and what is in memory
		// may not be.
		d.data.Store(nil)
		ending, cancel := context.WithTimeout(context.Background(), lostTimeout)
		data.control.Shutdown(ending)
		data.dir.Shutdown(ending)
		cancel()
	}
}

// work runs what works on the data in the background, until ctx ends or the store
// is lost.
func (d *Daemon) work(ctx context.Context, data *openData) {
	d.log.Info("Collector serves", "address", d.Addr().String(), "tls", d.tls.config != nil, "apps", len(data.dir.Collector.Apps()))
	working, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, work := range data.background {
		running.Go(func() { work(working) })
	}
	select {
	case <-ctx.Done():
	case <-data.dir.Lost():
	}
}

// waitForData opens the data as soon as that is possible. It returns nil if ctx
// ends first, or with an error that will not pass.
func (d *Daemon) waitForData(ctx context.Context) (data *openData, failed error) {
	interval := waitInterval
	if d.opts.Store != "" {
		interval = databaseInterval
	}
	try := func() bool {
		found, err := d.open(ctx)
		switch {
		case err == nil:
			data, d.waits = found, waitsForNothing
		case ctx.Err() != nil:
		case errors.Is(err, sqlite.ErrInUse): // by a verb, for a while
			return false
		case isTransient(err):
			d.logWaiting(err)
			return false
		default:
			failed = err
		}
		return true
	}
	if !try() {
		every(ctx, interval, try)
	}
	return data, failed
}
