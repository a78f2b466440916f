package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const variablePrefix = "ROLLCALL_"

const variableAnnotation = "rollcall_variable"

// addFlag adds a flag that an environment variable can set too.
func addFlag(flags *pflag.FlagSet, value pflag.Value, name, usage string) {
	addFlagWithVariable(flags, value, name, variable(name), usage)
}

// addCollectorFlag is addFlag for a flag of the collector, whose
// variable says so.
func addCollectorFlag(flags *pflag.FlagSet, value pflag.Value, name, usage string) {
	addFlagWithVariable(flags, value, name, variable("collector-"+name), usage)
}

func addFlagWithVariable(flags *pflag.FlagSet, value pflag.Value, name, variable, usage string) {
	flag := flags.VarPF(value, name, "", fmt.Sprintf("%s [%s]", usage, variable))
	flag.Annotations = map[string][]string{variableAnnotation: {variable}}
	if value.Type() == "bool" {
		flag.NoOptDefVal = "true"
	}
}

func variable(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// variableOf returns the name of a flag's variable, or "" if it has
// none.
func variableOf(flag *pflag.Flag) string {
	if names := flag.Annotations[variableAnnotation]; len(names) > 0 {
		return names[0]
	}
	return ""
}

type origin int

const (
	byDefault origin = iota
	byVariable
	byFlag
)

func originOf(flag *pflag.Flag) origin {
	switch name := variableOf(flag); {
	case flag.Changed:
		return byFlag
	case name != "" && os.Getenv(name) != "":
		return byVariable
	default:
		return byDefault
	}
}

// applyEnvironment sets the flags that are not on the command line from
// their variables. An empty variable counts as unset. Of several
// mistakes it returns the first, so that the error fits a line.
func applyEnvironment(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(flag *pflag.Flag) {
		if err != nil || originOf(flag) != byVariable {
			return
		}
		name := variableOf(flag)
		text := os.Getenv(name)
		if invalid := flag.Value.Set(text); invalid != nil {
			err = fmt.Errorf("invalid value %q of environment variable %s: %w", text, name, invalid)
		}
	})
	return err
}

// with adds flags to a command and returns it.
func with(cmd *cobra.Command, flags ...interface{ add(*cobra.Command) }) *cobra.Command {
	for _, f := range flags {
		f.add(cmd)
	}
	return cmd
}

// A timeout is the flag --timeout, whose default is its first value.
type timeout time.Duration

func (t *timeout) add(cmd *cobra.Command) {
	limit := (*time.Duration)(t)
	cmd.Flags().Var(durationValue(limit, *limit), "timeout", "how long to wait at most")
}

func (t *timeout) context(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), time.Duration(*t))
}

type yesFlag bool

func (y *yesFlag) add(cmd *cobra.Command) {
	cmd.Flags().BoolVarP((*bool)(y), "yes", "y", false, "do not ask for confirmation")
}

// The shell completes the values of these flags with file names. An
// error would mean that there is no such flag.

func completeFile(cmd *cobra.Command, flag string, extensions ...string) {
	_ = cmd.MarkFlagFilename(flag, extensions...)
}

func completeDirectory(cmd *cobra.Command, flag string) { _ = cmd.MarkFlagDirname(flag) }

// completeWords completes a flag with the words of its choiceValue.
func completeWords(cmd *cobra.Command, flag string) {
	words := strings.Split(cmd.Flag(flag).Value.Type(), "|")
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

type logFlags struct {
	format string
	level  string
}

func (l *logFlags) add(cmd *cobra.Command) {
	addFlag(cmd.Flags(), choiceValue(&l.format, "text", "json"), "log-format", "format of the log lines")
	addFlag(cmd.Flags(), choiceValue(&l.level, "info", "debug", "warn", "error"), "log-level", "lowest level to log")
	completeWords(cmd, "log-format")
	completeWords(cmd, "log-level")
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
