// Package wine runs what is built for Windows, instead of just compiling it.
// It has only tests.
//
// The ones for Linux build the tests of the packages that hold the rules, and
// the program, for Windows and run them under Wine. The ones for Windows are
// scenarios with the program and with processes that race, are killed, or keep
// files open; they run there too, and as they are on a real Windows.
package wine
