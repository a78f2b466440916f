// Package offzero shows that off means zero: without the operator's
// consent a service sends no packet and no DNS query, whatever is called.
// It has only tests, which run as root on Linux in a network namespace of
// their own.
package offzero
