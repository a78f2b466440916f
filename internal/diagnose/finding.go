package diagnose

import "fmt"

// A Finding is the result of one check.
type Finding struct {
	// Check is what was checked, in a few words.
	Check string `json:"check"`
	// Level is how serious the result is.
	Level Level `json:"level"`
	// Detail says what was found.
	Detail string `json:"detail"`
	// Hint says what to do about it; empty if nothing need be done.
	Hint string `json:"hint,omitempty"`
}

// A Level is how serious a [Finding] is.
type Level int

// The levels.
const (
	OK      Level = iota // as it should be
	Warning              // works, with less than is promised otherwise
	Problem              // does not work
)

var levels = [...]string{OK: "ok", Warning: "warning", Problem: "problem"}

// String returns "ok", "warning" or "problem".
func (l Level) String() string { return levels[l] }

// MarshalText returns [Level.String].
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText accepts what MarshalText returns.
func (l *Level) UnmarshalText(text []byte) error {
	for level, name := range levels {
		if name == string(text) {
			*l = Level(level)
			return nil
		}
	}
	return fmt.Errorf("no level is called %q", text)
}
