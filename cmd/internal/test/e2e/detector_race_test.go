//go:build linux && race

package e2e_test

// raceDetector reports whether the race detector is enabled, which makes
// each process take a second to exit.
const raceDetector = true
