// Package process is a collector as a process: its data folder, what it is composed of, how it listens, and how it ends.
// What a person or program at its machine may do with it goes through a [Client], whether it runs or not.
//
// The data folder has mode 0700 and belongs to one process at a time:
//
//	rollcall.db       the store, with -wal and -shm beside it while it is open
//	rollcall.key      the secret, which the store is worthless without: 64 hexadecimal digits, mode 0600
//	rollcall.control  where the running process takes instructions, and the word that proves who may give them, mode 0600
//	acme/             certificates and the account, when they come from a certificate authority
package process
