package main

import (
	"fmt"
	"os"
	"time"

	"github.com/rollcall-dev/rollcall/internal/terminal"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// newProgress returns a progress bar with the rate and the remaining
// time. It is silent unless standard error is a terminal.
func newProgress(cmd *cobra.Command, what string, of int) *progressbar.ProgressBar {
	file, ok := cmd.ErrOrStderr().(*os.File)
	if !ok || !terminal.Is(file) {
		return progressbar.NewOptions(of, progressbar.OptionSetVisibility(false))
	}
	return progressbar.NewOptions(of, progressbar.OptionSetWriter(file), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString(what), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(),
		progressbar.OptionSetSpinnerChangeInterval(0)) // else a goroutine of the bar races with Add
}

// showProgress returns a function that shows how much is done of all.
func showProgress(cmd *cobra.Command, what string) func(done, all int64) {
	var bar *progressbar.ProgressBar
	return func(done, all int64) {
		if bar == nil {
			bar = newProgress(cmd, what, int(all))
		}
		_ = bar.Set64(done)
	}
}

// noticeAfter is how long work may take before waiting says what it is.
const noticeAfter = time.Second

// waiting does some work, and says on a terminal what it is if it takes long.
func waiting(cmd *cobra.Command, what string, work func() error) error {
	file, ok := cmd.ErrOrStderr().(*os.File)
	if ok && terminal.Is(file) {
		defer time.AfterFunc(noticeAfter, func() { fmt.Fprintf(file, "%s …\n", what) }).Stop()
	}
	return work()
}
