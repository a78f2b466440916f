// Package rollcalltest helps hosts to test how they embed rollcall. It has a
// [Collector] that records the requests of a service, and a [Memory] that
// stands for the host's settings. Programs do not import it; only their tests
// do.
package rollcalltest
