//go:build race

package sqlite_test

// raceDetector says that SQLite, which is Go here, takes twenty times as long.
const raceDetector = true
