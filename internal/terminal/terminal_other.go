//go:build !unix

package terminal

import (
	"context"
	"os"
)

// isTerminal is false: a wait for a line could not be ended here, so nobody is asked.
func isTerminal(*os.File) bool { return false }

func readLine(context.Context, *os.File) (string, error) { return "", ErrNoTerminal }
