// Package rollcalltest helps hosts test how they embed rollcall. It has a
// [Collector] that records the requests of a service, and a [Memory] that
// stands for the host's settings. Programs do not import it; only their tests
// do.
//
// A test binary does not report. A host's test sets
// rollcall.Config.Reporting.Development, or nothing is sent.
package rollcalltest
