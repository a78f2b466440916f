package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const variablePrefix = "ROLLCALL_"

const variableAnnotation = "rollcall_variable"

// addFlag adds a flag that an environment variable can set too.
func addFlag(flags *pflag.FlagSet, value pflag.Value, name, usage string) {
	addFlagWithVariable(flags, value, name, variable(name), usage)
}

// addCollectorFlag is addFlag with a variable of the collector.
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

// variableOf returns a flag's variable, or "" if it has none.
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

// exclusive refuses two flags of a command together, and completion offers only
// one of them.
func exclusive(cmd *cobra.Command, one, other string) {
	cmd.MarkFlagsMutuallyExclusive(one, other)
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed(one) && cmd.Flags().Changed(other) {
			return withHint(fmt.Errorf("--%s and --%s are both set", one, other), "set only one of them")
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
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

// A flagValue is the value of a flag. It is checked when it is parsed,
// so that the error can name the flag or the variable.
type flagValue[T any] struct {
	target *T
	kind   string // the placeholder in the help
	parse  func(string) (T, error)
	format func(T) string
}

func newValue[T any](target *T, kind string, value T, parse func(string) (T, error), format func(T) string) pflag.Value {
	*target = value
	return &flagValue[T]{target, kind, parse, format}
}

// String works on a zero value, as the help of pflag requires.
func (v *flagValue[T]) String() string {
	if v.target == nil {
		return ""
	}
	return v.format(*v.target)
}

func (v *flagValue[T]) Set(text string) error {
	value, err := v.parse(text)
	if err == nil {
		*v.target = value
	}
	return err
}

func (v *flagValue[T]) Type() string { return v.kind }

func same(text string) string { return text }

func textValue(target *string, kind, value string) pflag.Value {
	return newValue(target, kind, value, func(text string) (string, error) { return text, nil }, same)
}

func boolValue(target *bool, value bool) pflag.Value {
	parse := func(text string) (bool, error) {
		value, err := strconv.ParseBool(text)
		if err != nil {
			return false, errors.New("neither true nor false")
		}
		return value, nil
	}
	return newValue(target, "bool", value, parse, strconv.FormatBool)
}

// countValue is a number from 1 to most.
func countValue(target *int, value, most int) pflag.Value {
	parse := func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return 0, fmt.Errorf("not a number between 1 and %d", most)
		}
		return n, nil
	}
	return newValue(target, "number", value, parse, strconv.Itoa)
}

// limitValue is a number from 1 to 1,000,000, or "off", which is -1.
func limitValue(target *int, value int) pflag.Value {
	const most, off = 1_000_000, "off"
	count := countValue(target, value, most)
	parse := func(text string) (int, error) {
		if text == off {
			return -1, nil
		}
		if count.Set(text) != nil {
			return 0, fmt.Errorf("neither a number between 1 and %d nor %s", most, off)
		}
		return *target, nil
	}
	format := func(n int) string {
		if n < 0 {
			return off
		}
		return strconv.Itoa(n)
	}
	return newValue(target, "number", value, parse, format)
}

// durationValue is at most what the library allows.
func durationValue(target *time.Duration, value time.Duration) pflag.Value {
	parse := func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, errors.New("not a duration such as 5s or 300ms")
		}
		if d <= 0 || d > rollcall.MaxWait {
			return 0, fmt.Errorf("not above zero and at most %v", rollcall.MaxWait)
		}
		return d, nil
	}
	return newValue(target, "duration", value, parse, time.Duration.String)
}

// choiceValue is one of a few words, by default the first.
func choiceValue(target *string, words ...string) pflag.Value {
	parse := func(text string) (string, error) {
		if !slices.Contains(words, text) {
			return "", fmt.Errorf("not one of %s", strings.Join(words, ", "))
		}
		return text, nil
	}
	return newValue(target, strings.Join(words, "|"), words[0], parse, same)
}

// listValue is separated by commas. A repeated flag adds to it.
func listValue(target *[]string, kind string) pflag.Value {
	parse := func(text string) ([]string, error) {
		return append(*target, splitList(text)...), nil
	}
	return newValue(target, kind, nil, parse, func(list []string) string { return strings.Join(list, ",") })
}

// splitList returns the words between the commas.
func splitList(text string) (words []string) {
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}
