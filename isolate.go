package rollcall

import "github.com/rollcall-dev/rollcall/internal/isolate"

// RunChild is what a host that uses Config.Isolate calls first in main: the file work is done by the host's own binary,
// started once more, and in that child RunChild does the work and ends the process. Anywhere else it returns at once.
// [New] fails with Config.Isolate when it has not been called.
//
// What Isolate promises: the host ends when it wants to, also while the kernel holds a file operation in an
// uninterruptible wait, since that wait is the child's. At most one child is left behind, which ends by itself as soon
// as the kernel lets go of it. What it costs: a child process for each operation; BenchmarkIsolate shows how much.
// Without Isolate a hung operation costs one goroutine and, where the kernel's wait cannot be interrupted, keeps the
// process from ending.
// There a signal can be lost as well: Linux gives it to the main thread first, which may be the one that waits for the
// disk. A host prevents that with func init() { runtime.LockOSThread() } in package main.
func RunChild() { isolate.RunChild() }
