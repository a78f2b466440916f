// Package hosts holds the library to what it costs the program that imports
// it: no version of another module rises, few lines of go.sum, a bounded part
// of the binary. It also installs the program as a user would. Both modules
// are taken from zip files of this tree, served by a module proxy that is a
// directory, so that no workspace and no replace directive helps.
//
// It has tests only.
package hosts
