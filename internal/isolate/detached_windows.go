package isolate

import "syscall"

// detached keeps the signals of a console from the child, which would stop it in the middle of a save.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{HideWindow: true, CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
