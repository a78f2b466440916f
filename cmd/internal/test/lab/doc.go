// Package lab makes real faults for tests: files that hang, are slow or
// fail, full and read-only disks, power cuts, other users, and other
// processes. Nothing is simulated. The kernel makes every fault, so a
// test sees what a host would see.
//
// It works on Linux, mostly as root. A test says what it needs with
// [Need], which skips loudly if the machine lacks it. A package that uses
// the lab hands its TestMain over:
//
//	func TestMain(m *testing.M) { lab.Main(m) }
//
// Everything that a test sets up is undone at its end. If the test
// process dies before that, from a panic, a timeout or SIGKILL, a second
// process, the janitor, undoes it.
//
// [FUSE] returns a directory of which every operation can be made to
// hang, wait or fail:
//
//	d := lab.FUSE(t)
//	fault := d.Hang(lab.Fsync, ".tmp", lab.Always)
//	go save(filepath.Join(d.Path, "config.json"))
//	fault.Await(1)  // the fsync hangs
//	fault.Release() // it is executed
package lab
