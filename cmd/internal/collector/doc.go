// Package collector is the contract between the parts of a collector: what a
// store keeps, what the server hands over, and what an app, a day and an
// installation are. It does nothing by itself:
//
//   - package engine counts reports and computes figures;
//   - package figures holds the figures, and hides small groups from the public;
//   - package sqlite is the [Store], and storetest holds every store to its promises;
//   - packages server and dashboard speak HTTP.
//
// The collector knows an installation by a [Key], a keyed hash of its app and
// its ID, and never keeps the ID. Within its app the installation has a [Num]:
// dense, in order of first sight, so the installations that were new on a day
// are a range of numbers. Activity is one bit per installation and day, and all
// figures are exact arithmetic on these bits. When a day ends, its figures are
// written as totals, which identify nobody and are kept for good. Deleting an
// installation, or purging an inactive one, removes its bits but not the totals.
//
// A [Day] is the collector's, in UTC; the sender's clock never decides.
package collector
