package fsys

import "syscall"

// writeProtected are what Windows says besides its invented errnos: ERROR_WRITE_PROTECT.
var writeProtected = []syscall.Errno{19}
