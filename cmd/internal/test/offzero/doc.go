// Package offzero shows that off means zero: without the operator's consent a service makes no packet and no name
// look-up, whatever is called. It has tests only, which run in a network namespace of their own, as root on Linux.
package offzero
