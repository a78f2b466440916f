//go:build linux && !race

package e2e_test

// raceDetector tells whether the race detector is there, with which a process takes a second to end.
const raceDetector = false
