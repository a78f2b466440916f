// Package terminal asks a person at a terminal, for no longer than a context, and takes no character from the terminal
// beyond the line that is the answer.
package terminal

import (
	"context"
	"errors"
	"os"
)

// maxLine bounds an answer.
const maxLine = 256

// ErrNoTerminal says that nobody can be asked.
var ErrNoTerminal = errors.New("not a terminal")

// Is tells whether the file is a terminal, at which a person may sit. The null device is none.
func Is(file *os.File) bool { return file != nil && isTerminal(file) }

// ReadLine reads a line that a person types, without the line end. It fails with the cause of ctx when that ends first;
// then nothing goes on reading.
func ReadLine(ctx context.Context, file *os.File) (string, error) {
	if !Is(file) {
		return "", ErrNoTerminal
	}
	return readLine(ctx, file)
}
