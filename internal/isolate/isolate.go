// Package isolate does the file work of an installation ID in a child
// process. A thread that the kernel holds in an uninterruptible wait then
// belongs to the child, and the host can end.
//
// The child is the host's own binary, started with an environment variable;
// the host calls [RunChild] first in main, as container tools do. The child
// serves requests on its standard input, one at a time. It ends with its
// input, and the parent closes that when no request came for a while.
//
// When the parent gives up, it closes the input too. The child then stops at
// its next step, as an abandoned operation does inside a process, after
// putting back what it must. The parent does not kill it: a rename in
// progress could still complete, and nobody would check what it displaced. So
// at most one child stays behind on a hung disk, and it ends by itself.
package isolate

import (
	"errors"
	"os"
	"sync/atomic"
)

const (
	// childVariable marks a process as a child. Its value is the version of
	// the protocol.
	childVariable   = "ROLLCALL_ISOLATED_CHILD"
	protocolVersion = "2"
)

// ErrNoHook is returned if the host did not call RunChild, so that a child
// would run the host's own main.
var ErrNoHook = errors.New("the host has to call rollcall.RunChild first in main")

// hooked reports whether RunChild was called in this process. It is the only
// mutable variable of this package: whether the hook exists is a property of
// the program, and starting the host a second time would be worse than any
// global.
var hooked atomic.Bool

// RunChild serves requests and ends the process if this process is a child.
// Otherwise it returns at once.
func RunChild() { runChild(perform) }

func runChild(perform operation) {
	hooked.Store(true)
	if os.Getenv(childVariable) == protocolVersion {
		os.Exit(serve(os.Stdin, os.Stdout, perform))
	}
}
