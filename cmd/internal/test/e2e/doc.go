// Package e2e shows on real disks, with real processes, what the documentation promises: that an installation ID never
// hangs its host, is never lost once it is called persisted, and that nothing else of a config changes. It has tests only,
// named after the lines of docs/failures.md.
//
// Hosts are processes of their own, started from the test binary, since many of these faults keep a process from ending.
// The limits are scaled down to fractions of a second where something hangs, and what is asserted about time is far more
// generous than what is measured, so that a slow machine fails no test; -v shows what was measured.
//
// What is random or takes long is repeated a few times, and often with ROLLCALL_SOAK=1.
package e2e
