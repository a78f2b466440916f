// Package configfile changes one key of one JSON config file that belongs to
// another program.
//
// Every other byte stays (package jsonedit), the file is replaced atomically
// and durably (package replace), and no method waits longer than its context,
// even while every file operation hangs (package flight). An operation on a
// hung disk cannot be cancelled: it is abandoned, stops at the next step that
// it reaches, and costs one goroutine. At most one operation on a file is in
// flight; later ones wait for it.
package configfile
