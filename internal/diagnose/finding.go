package diagnose

// A Finding is the result of one check.
type Finding struct {
	// Check is what was checked, in a few words.
	Check string
	// Level is how serious the result is.
	Level Level
	// Detail says what was found.
	Detail string
	// Hint says what to do about it; empty if nothing need be done.
	Hint string
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
