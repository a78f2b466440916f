// Package storetest has one suite, [Run], that holds every [collector.Store] to
// its promises, and a store in memory, [NewMemory], for tests of its users.
package storetest
