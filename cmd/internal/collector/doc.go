// Package collector counts installations: it takes the heartbeats and health reports of package report, acknowledges each
// after it is durable, and answers how many installations of an app there are, which versions they run and whether they
// are healthy. It speaks no protocol and draws no page: packages server and dashboard do, on top of a [Engine].
//
// An installation is known by a [Key], a keyed hash of app and installation ID; the ID itself is not kept. It gets a
// [Num], dense and in the order of first sight within its app, so that the installations which are new on a day are a
// range of numbers. Activity is one bit per installation and day. All figures are arithmetic on these bits, and exact.
// When a day is over its figures are written down as totals, which hold no identity and are kept for good; deleting an
// installation, or purging one that was away too long, removes its bits and leaves the totals.
//
// A day is that of the collector's clock in UTC. What the sender's clock says is not used.
package collector
