package collector

import (
	"errors"
	"fmt"
	"slices"
)

// Windows returns the lengths, in days, of the windows that installations are counted in.
func Windows() [4]int { return [4]int{1, 7, 28, 30} }

// ErrWindow says that a window is not 1, 7, 28 or 30 days.
var ErrWindow = errors.New("window is not 1, 7, 28 or 30 days")

// WindowIndex returns the index in [Windows] of a number of days, or ErrWindow.
func WindowIndex(days int) (int, error) {
	windows := Windows()
	if i := slices.Index(windows[:], days); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("%w: %d", ErrWindow, days)
}
