package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"
)

// logging are the settings of the log.
type logging struct {
	format string
	level  string
}

func (l *logging) add(cmd *cobra.Command) {
	formats, levels := []string{"text", "json"}, []string{"info", "debug", "warn", "error"}
	addSetting(cmd.Flags(), choiceSetting(&l.format, formats...), "log-format", "form of the log lines")
	addSetting(cmd.Flags(), choiceSetting(&l.level, levels...), "log-level", "least level that is logged")
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(levels, cobra.ShellCompDirectiveNoFileComp))
}

func (l *logging) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.level)) // one of the words above
	opts := &slog.HandlerOptions{Level: level}
	if l.format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
