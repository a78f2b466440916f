package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// untilSignal returns a context that ends with the first SIGINT or
// SIGTERM. After that the process exits within the limit, unless done
// is called, and at once on a second signal.
func untilSignal(parent context.Context, limit time.Duration) (ctx context.Context, done func()) {
	ctx, release := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-over:
			return
		}
		release() // so that a second signal kills the process
		select {
		case <-time.After(limit):
			os.Exit(exitOK)
		case <-over:
		}
	}()
	return ctx, func() {
		close(over)
		release()
	}
}
