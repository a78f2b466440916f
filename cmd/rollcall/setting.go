package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/pflag"
)

// variablePrefix begins the name of every setting's environment variable.
const variablePrefix = "ROLLCALL_"

// fromEnvironment marks a flag that has a variable, and names it.
const fromEnvironment = "rollcall_variable"

// addSetting makes value a flag that has a variable too.
func addSetting(flags *pflag.FlagSet, value pflag.Value, name, usage string) *pflag.Flag {
	return addSettingFrom(flags, value, name, variable(name), usage)
}

// addCollectorSetting is addSetting for a setting of the collector.
func addCollectorSetting(flags *pflag.FlagSet, value pflag.Value, name, usage string) *pflag.Flag {
	return addSettingFrom(flags, value, name, variable("collector-"+name), usage)
}

// addSettingFrom is addSetting with a variable of any name.
func addSettingFrom(flags *pflag.FlagSet, value pflag.Value, name, variable, usage string) *pflag.Flag {
	flag := flags.VarPF(value, name, "", fmt.Sprintf("%s [%s]", usage, variable))
	flag.Annotations = map[string][]string{fromEnvironment: {variable}}
	if value.Type() == "bool" {
		flag.NoOptDefVal = "true"
	}
	return flag
}

// variable is the name of the environment variable for a flag.
func variable(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// An origin says who gave a setting its value. What goes before is greater.
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

// variableOf is the name of a flag's variable, or empty when it has none.
func variableOf(flag *pflag.Flag) string {
	if names := flag.Annotations[fromEnvironment]; len(names) > 0 {
		return names[0]
	}
	return ""
}

// applyEnvironment gives the settings that no flag gave the values of their variables. An empty variable counts as
// unset.
func applyEnvironment(flags *pflag.FlagSet) error {
	var problems []error
	flags.VisitAll(func(flag *pflag.Flag) {
		if originOf(flag) != byVariable {
			return
		}
		name := variableOf(flag)
		text := os.Getenv(name)
		if err := flag.Value.Set(text); err != nil {
			problems = append(problems, fmt.Errorf("invalid value %q of environment variable %s: %w", text, name, err))
		}
	})
	if len(problems) > 0 {
		return problems[0] // one line; the next shows when this one is corrected
	}
	return nil
}

// A setting is the value of a flag, checked when it is parsed, so that an error can name where it came from.
type setting[T any] struct {
	target *T
	kind   string // what the help calls it
	parse  func(string) (T, error)
	format func(T) string
}

// String implements [pflag.Value]; the help calls it for the default, and on a zero setting.
func (s *setting[T]) String() string {
	if s.target == nil {
		return ""
	}
	return s.format(*s.target)
}

// Set implements [pflag.Value].
func (s *setting[T]) Set(text string) error {
	value, err := s.parse(text)
	if err != nil {
		return err
	}
	*s.target = value
	return nil
}

// Type implements [pflag.Value].
func (s *setting[T]) Type() string { return s.kind }

func textSetting(target *string, kind, value string) pflag.Value {
	*target = value
	return &setting[string]{target, kind,
		func(text string) (string, error) { return text, nil },
		func(text string) string { return text }}
}

func boolSetting(target *bool, value bool) pflag.Value {
	*target = value
	parse := func(text string) (bool, error) {
		value, err := strconv.ParseBool(text)
		if err != nil {
			return false, errors.New("neither true nor false")
		}
		return value, nil
	}
	return &setting[bool]{target, "bool", parse, strconv.FormatBool}
}

// countSetting is a number from 1 to most.
func countSetting(target *int, value, most int) pflag.Value {
	*target = value
	parse := func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return 0, fmt.Errorf("not a number between 1 and %d", most)
		}
		return n, nil
	}
	return &setting[int]{target, "number", parse, strconv.Itoa}
}

// limitSetting is a number from 1 to 1,000,000, or "off", which is -1.
func limitSetting(target *int, value int) pflag.Value {
	const most, off = 1_000_000, "off"
	*target = value
	parse := func(text string) (int, error) {
		if text == off {
			return -1, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return 0, fmt.Errorf("neither a number between 1 and %d nor %s", most, off)
		}
		return n, nil
	}
	format := func(n int) string {
		if n < 0 {
			return off
		}
		return strconv.Itoa(n)
	}
	return &setting[int]{target, "number", parse, format}
}

// durationSetting is a duration above zero that is not longer than anyone can mean.
func durationSetting(target *time.Duration, value time.Duration) pflag.Value {
	*target = value
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
	return &setting[time.Duration]{target, "duration", parse, time.Duration.String}
}

// choiceSetting is one of a few words; the first is the default.
func choiceSetting(target *string, words ...string) pflag.Value {
	*target = words[0]
	parse := func(text string) (string, error) {
		if !slices.Contains(words, text) {
			return "", fmt.Errorf("not one of %s", strings.Join(words, ", "))
		}
		return text, nil
	}
	return &setting[string]{target, strings.Join(words, "|"), parse, func(text string) string { return text }}
}

// listSetting is any number of words, separated by commas; given again, the words add up.
func listSetting(target *[]string, kind string) pflag.Value {
	parse := func(text string) ([]string, error) {
		list := *target
		for word := range strings.SplitSeq(text, ",") {
			if word = strings.TrimSpace(word); word != "" {
				list = append(list, word)
			}
		}
		return list, nil
	}
	return &setting[[]string]{target, kind, parse, func(list []string) string { return strings.Join(list, ",") }}
}
