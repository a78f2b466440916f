//go:build unix

package terminal

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pollEvery is the time between two checks of the context, in milliseconds.
const pollEvery = 100

func isTerminal(file *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	return err == nil && !inBackground(file)
}

// inBackground reports whether this process is a background job of the terminal.
// The kernel stops such a job when it reads (SIGTTIN).
func inBackground(file *os.File) bool {
	group, err := unix.IoctlGetInt(int(file.Fd()), unix.TIOCGPGRP)
	return err == nil && group != unix.Getpgrp()
}

// readLine polls before it reads: a terminal that edits lines has a whole line
// ready, or nothing.
func readLine(ctx context.Context, file *os.File) (string, error) {
	fds := []unix.PollFd{{Fd: int32(file.Fd()), Events: unix.POLLIN}}
	for {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		n, err := unix.Poll(fds, pollEvery)
		if err == unix.EINTR || err == nil && n == 0 {
			continue
		}
		if err != nil {
			return "", os.NewSyscallError("poll", err)
		}
		if inBackground(file) { // the shell has the input now
			time.Sleep(pollEvery * time.Millisecond)
			continue
		}
		break
	}
	buf := make([]byte, maxLine)
	n, err := unix.Read(int(file.Fd()), buf)
	switch {
	case err != nil:
		return "", os.NewSyscallError("read", err)
	case n == 0:
		return "", io.EOF // the person ended the input
	}
	return strings.TrimRight(string(buf[:n]), "\r\n"), nil
}
