// Package storetest holds every [collector.Store] to its promises with one suite, [Run], and has a store in memory,
// [NewMemory], for tests of what stands on a store.
package storetest
