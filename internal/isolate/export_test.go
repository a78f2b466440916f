package isolate

import (
	"bytes"
	"context"
	"io"

	"github.com/rollcall-dev/rollcall/internal/idstore"
)

// RunChildAfter is RunChild for a child that calls before ahead of each
// operation.
func RunChildAfter(before func(ctx context.Context, l idstore.Location)) {
	runChild(func(ctx context.Context, req request) (result, error) {
		before(ctx, req.Location)
		return perform(ctx, req)
	})
}

// Serve is the main loop of a child.
func Serve(in io.Reader, out io.Writer) int { return serve(in, out, perform) }

// Request returns the bytes of a request.
func Request(op string, l idstore.Location) string {
	var b bytes.Buffer
	if err := writeMessage(&b, &request{Op: op, Location: l}); err != nil {
		panic(err)
	}
	return b.String()
}

// ReadAnswer returns the error text of the next answer, and whether it means
// that no ID is stored.
func ReadAnswer(r io.Reader) (text string, notFound bool, err error) {
	var a answer
	err = readMessage(r, &a)
	return a.Error, a.NotFound, err
}
