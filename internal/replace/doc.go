// Package replace changes small files that other programs read and write.
//
// A change is
//
//   - atomic: whoever reads the file, or kills the process, sees the old
//     content or the new one;
//   - durable: success means that the content and its name are on disk;
//   - polite: a save that another program makes at the same time survives.
//     Just before the commit the file is compared with what the change was
//     made from. What the commit displaces is compared again, and put back if
//     it is newer, even if a rename hung and completes much later.
//
// Nothing here is bounded in time: a call hangs for as long as the file system
// does. It stops at its next step after its context has ended, up to the
// commit; from there on it runs to its end, so that nothing is left half done.
//
// A file that cannot be replaced is written in place, but only while no other
// program has it open or can open it. Where the system cannot ensure that, it
// is not written.
//
// One gap remains where the system offers no better operation: where files
// cannot be exchanged (Windows, NFS), a change that another program makes
// within microseconds of the commit is lost.
package replace
