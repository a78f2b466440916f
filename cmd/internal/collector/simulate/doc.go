// Package simulate makes fleets of installations of which everything is known, and sends what they report to a collector:
// straight into one ([Fleet.Load]) or over HTTP ([Fleet.Send]). It is for tests, measurements and demonstrations.
//
// A fleet is made from a seed and is the same each time. Each installation has a random stream of its own, so a larger fleet
// has the smaller one in it. Installations are born along a curve with spikes at releases, keep a weekly rhythm, go on
// vacation and return, take up releases sooner or later, go back to older ones, and stop. Some share an ID, lose theirs at
// each restart, are made by a build server for a minute, run development versions, or are forged.
//
// The [Truth] of a fleet is worked out from its reports by brute force, with maps and sorted lists, and shares nothing with
// the way in which package collector counts.
package simulate
