//go:build !race

// Package race tells tests whether the race detector is enabled. It keeps a shadow
// of all memory, delays the exit of each process by a second, and makes SQLite,
// which is Go here, twenty times as slow.
package race

// Enabled reports whether the race detector is enabled.
const Enabled = false
