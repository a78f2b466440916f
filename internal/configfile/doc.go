// Package configfile changes one key of one JSON config file that belongs to somebody else.
//
// The change is
//
//   - byte-preserving: every other byte of the file stays as it is, with its comments, order, indentation, line ends,
//     mode, owner, extended attributes and symlinks; a file that cannot be read or understood is never written over;
//   - atomic: whoever reads the file, or kills the process at any moment, finds the old content or the new one;
//   - durable: a success means that the content and its name are on disk;
//   - bounded in time: no method waits longer than its context, also while every file operation hangs. An operation on
//     a hung disk cannot be cancelled; it is abandoned, stops at the next step it reaches, and costs one goroutine.
//     A [File] and its [Anchor] have at most one operation in flight, for which later ones wait;
//   - polite: a save that another program makes at the same time is not lost. Right before the new content takes its
//     place the file is compared with what the change was made from, and what is displaced is compared again and put
//     back if it is newer, also when a rename that hung completes much later.
//
// What an operating or file system does not offer weakens that: see [File.Set] and the documentation in package fsys of
// this module, where each is implemented. Nothing protects a change that another program makes in the very microseconds
// between the last comparison and the commit where files cannot be exchanged (Windows, NFS), or in a file that can only
// be written in place.
package configfile
