// Package terminal reads an answer that a person types at a terminal, for no
// longer than a context. It takes nothing from the terminal but that line.
package terminal

import (
	"context"
	"errors"
	"os"
)

// maxLine is the greatest length of an answer in bytes.
const maxLine = 256

// ErrNoTerminal is returned by [ReadLine] if nobody can be asked.
var ErrNoTerminal = errors.New("not a terminal")

// Is reports whether file is a terminal and this process is not one of its
// background jobs. It returns false for the null device.
func Is(file *os.File) bool { return file != nil && isTerminal(file) }

// ReadLine returns the next line without its line end. It returns the cause of
// ctx if that ends first; nothing continues to read then.
func ReadLine(ctx context.Context, file *os.File) (string, error) {
	if !Is(file) {
		return "", ErrNoTerminal
	}
	return readLine(ctx, file)
}
