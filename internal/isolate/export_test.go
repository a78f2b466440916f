package isolate

import (
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
