//go:build !unix

package terminal

import (
	"context"
	"os"
)

// isTerminal returns false: a read could not be interrupted here, so nobody is
// asked.
func isTerminal(*os.File) bool { return false }

func readLine(context.Context, *os.File) (string, error) { return "", ErrNoTerminal }
