// Package rollcalltest helps hosts to test that they embed the service rightly: a [Collector] that records what is sent
// to it, and a [Memory] that stands for the host's settings.
package rollcalltest
