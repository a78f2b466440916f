package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"
)

// logFlags configure the log.
type logFlags struct {
	format string
	level  string
}

func (l *logFlags) add(cmd *cobra.Command) {
	formats, levels := []string{"text", "json"}, []string{"info", "debug", "warn", "error"}
	addFlag(cmd.Flags(), choiceValue(&l.format, formats...), "log-format", "format of the log lines")
	addFlag(cmd.Flags(), choiceValue(&l.level, levels...), "log-level", "lowest level to log")
	completeWords(cmd, "log-format", formats)
	completeWords(cmd, "log-level", levels)
}

func (l *logFlags) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.level)) // the flag accepts only names of levels
	opts := &slog.HandlerOptions{Level: level}
	if l.format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
