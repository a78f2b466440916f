//go:build !windows

package isolate

import "syscall"

// detached keeps the signals of a terminal from the child, which would stop it in the middle of a save.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
