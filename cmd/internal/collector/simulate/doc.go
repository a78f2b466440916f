// Package simulate makes fleets of installations of which everything is
// known, and sends their reports to a collector: directly ([Fleet.Load])
// or over HTTP ([Fleet.Send]). It serves tests, measurements and
// demonstrations.
//
// A fleet is made from a seed and is the same each time. Each
// installation has a random stream of its own, so a larger fleet contains
// the smaller one. Births follow a curve with spikes at releases.
// Installations keep a weekly rhythm, take vacations, adopt releases
// sooner or later, roll back, and stop. Some share an ID, lose theirs at
// each restart, exist for one run of a build server, run development
// versions, or are forged.
//
// The [Truth] of a fleet is computed from its reports by brute force,
// with maps and sorted lists. It shares no code with package collector,
// which counts.
package simulate
