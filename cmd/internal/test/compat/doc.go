// Package compat tests what docs/compatibility.md promises of stores: this
// version opens the store that is kept of each release, and says of it what
// that release said.
//
// It has tests only.
package compat
