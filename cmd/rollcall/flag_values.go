package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/pflag"
)

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

// String implements [pflag.Value]. It works on a zero value, as the
// help requires.
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

// durationValue is a duration above zero, and at most what the library
// allows.
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

// listValue is a list of words separated by commas. A repeated flag
// adds to it.
func listValue(target *[]string, kind string) pflag.Value {
	parse := func(text string) ([]string, error) {
		list := *target
		for word := range strings.SplitSeq(text, ",") {
			if word = strings.TrimSpace(word); word != "" {
				list = append(list, word)
			}
		}
		return list, nil
	}
	return newValue(target, kind, nil, parse, func(list []string) string { return strings.Join(list, ",") })
}
