// Package e2e shows on real disks and with real processes what the
// documentation promises: an installation ID never hangs its host, is
// never lost once it is called persisted, and nothing else in a config
// changes. It has only tests, whose names begin with the lines of
// docs/failures.md.
//
// Hosts are processes of their own, started from the test binary, because
// many of these faults keep a process from exiting. Where something
// hangs, the limits are fractions of a second. Assertions about time are
// far more generous than the measurements, so that no test fails on a
// slow machine; -v shows the measurements.
//
// Random and long tests repeat a few times, and many times with
// ROLLCALL_SOAK=1.
package e2e
