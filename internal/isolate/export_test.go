package isolate

import (
	"context"
	"io"

	"github.com/rollcall-dev/rollcall/internal/idstore"
)

// Before lets do run in a child before each operation.
func Before(do func(ctx context.Context, l idstore.Location)) {
	for name, operation := range operations {
		operations[name] = func(ctx context.Context, req request) (result, error) {
			do(ctx, req.Location)
			return operation(ctx, req)
		}
	}
}

// Serve is what a child does.
func Serve(in io.Reader, out io.Writer) int { return serve(in, out) }
