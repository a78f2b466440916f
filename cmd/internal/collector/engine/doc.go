// Package engine counts installations. It takes the heartbeats and health
// reports that package report has parsed, acknowledges each once it is durable,
// and computes the figures of package figures.
//
// All counting happens in memory: a [fleet] per app holds a bitmap of active
// installations for each of the last days, one for each value of each
// dimension, and one for each fault and day. A [collector.Store] makes it
// durable. One goroutine, the writer, changes everything. It collects waiting
// reports in a transaction, commits it as one entry of the journal and the rows
// that changed, applies it to the fleets, and only then answers. A checkpoint
// later writes what the journal has as records, and trims the journal. At
// midnight the rollover writes the day's figures for good. An import goes through
// all days once more, beside the app, and then takes its place; see [merging].
//
// At start the bitmaps of the last days and the journal are read, which is
// enough to count. The rows follow in the background; until the engine is warm,
// answers that need them are incomplete.
//
// docs/decisions/0016-engine-in-memory.md explains the choice and its costs.
package engine
