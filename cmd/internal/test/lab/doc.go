// Package lab makes real faults for tests: files that hang, are slow or fail, full and read-only disks, power cuts, other
// users, other processes. Everything is done by the kernel, nothing is simulated, so a test sees what a host would.
//
// It works on Linux, as root for the most part. A test says what it needs with [Need], and skips loudly where that is
// missing. A package that uses the lab hands its TestMain over to it:
//
//	func TestMain(m *testing.M) { lab.Main(m) }
//
// All that a test sets up is taken down at its end. Should the test process die before that, by a panic, a test time-out
// or SIGKILL, then a second process, the janitor, does it.
//
// [FUSE] gives a folder of which every operation can be made to hang, wait or fail:
//
//	d := lab.FUSE(t)
//	fault := d.Hang(lab.Fsync, ".tmp", lab.Always)
//	go save(filepath.Join(d.Path, "config.json"))
//	fault.Await(1)  // the fsync is hanging
//	fault.Release() // and now it is carried out
package lab
