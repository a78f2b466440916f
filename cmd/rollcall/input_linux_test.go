package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// Reading a pipe without a writer times out, like reading from a hung disk.
func TestInputThatDoesNotAnswer(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	cmd := new(cobra.Command)
	cmd.SetContext(ctx)
	if _, err := readDeclaration(cmd, pipe); err == nil || !strings.Contains(err.Error(), "timed out") {
		t.Errorf("got %v, want a timeout", err)
	}
	// A writer lets the reader end, if the reader has opened the pipe.
	if writer, err := syscall.Open(pipe, syscall.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		syscall.Close(writer)
	} else if !errors.Is(err, syscall.ENXIO) {
		t.Fatal(err)
	}
}
