// Package sender decides when an installation reports, and sends.
//
// A report is due once a day, at a time of day that comes from the installation ID, so that a fleet is spread over the
// whole day and a restart changes nothing. What was sent, and how often it was tried, is kept on disk. No attempt takes
// longer than 30 seconds, a fixed small number of them is made in a day, whatever is in the way, and one that fails is
// followed by the next only hours later, at a random moment: after an outage of the collector a fleet comes back as
// slowly as it went.
//
// What is not spread by the ID is the first report of all: it comes one to two minutes after the process starts, so a
// fleet that is installed in the same instant reports within a minute, once. Nor are the calls of [Sender.SendIfDue],
// which send when the host makes them.
//
// Built with the tag rollcall_nosend, nothing in it can reach a network.
package sender
