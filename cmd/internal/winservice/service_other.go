//go:build !windows

// Package winservice runs a program as a service of Windows.
package winservice

import (
	"context"
	"io"
)

// Run does nothing: only Windows has this service manager.
func Run(func(ctx context.Context, stderr io.Writer) int) (code int, ok bool) { return 0, false }
