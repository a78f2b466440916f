//go:build linux

package e2e_test

const (
	savingChild     = "saving"
	restartingChild = "restarting"
	lockerChild     = "locker"
)

func runSaving()     {}
func runRestarting() {}
func runLocker()     {}
