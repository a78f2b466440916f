// Package tree holds the repository to what it says of itself: which package
// may import which, and what the documents claim. It parses the files itself,
// since a test that asks the go command stays green from the cache.
//
// It has tests only.
package tree
