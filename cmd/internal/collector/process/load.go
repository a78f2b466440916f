package process

import (
	"context"
	"log/slog"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Load lets do work with the collector of a data folder that no other process runs, such as loading the past of an app.
// What is missing of the folder is made. The error is [sqlite.ErrInUse] when a process has the folder.
func Load(ctx context.Context, dir string, log *slog.Logger, do func(c *collector.Collector) error) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d, err := openData(ctx, dir, true, log)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		d.close(ctx, log)
	}()
	return do(d.collector)
}
