package faultfs

import "slices"

// Op is one kind of operation: a method of fsys.FS or of fsys.File, or the unlock function that LockDir returns.
type Op string

// The operations. SameFile and LinkCount are none: they only look at what an earlier one returned.
const (
	OpOpen           Op = "open"
	OpLstat          Op = "lstat"
	OpReadlink       Op = "readlink"
	OpReadDir        Op = "readdir"
	OpMkdir          Op = "mkdir"
	OpRemove         Op = "remove"
	OpRename         Op = "rename"
	OpLink           Op = "link"
	OpExchange       Op = "exchange"
	OpSyncDir        Op = "syncdir"
	OpLock           Op = "lock"
	OpUnlock         Op = "unlock"
	OpCheckWritable  Op = "access"
	OpMountPoint     Op = "mountpoint"
	OpRead           Op = "read"
	OpWrite          Op = "write"
	OpWriteAt        Op = "writeat"
	OpStat           Op = "stat" // of an open file
	OpSync           Op = "sync"
	OpClose          Op = "close"
	OpCopyAttributes Op = "copyattributes"
	OpHasWriters     Op = "haswriters"
)

var ops = []Op{
	OpOpen, OpLstat, OpReadlink, OpReadDir, OpMkdir, OpRemove, OpRename, OpLink, OpExchange, OpSyncDir, OpLock, OpUnlock,
	OpCheckWritable, OpMountPoint, OpRead, OpWrite, OpWriteAt, OpStat, OpSync, OpClose, OpCopyAttributes, OpHasWriters,
}

// Ops gives every operation, so that a test can let each of them fail in turn.
func Ops() []Op { return slices.Clone(ops) }
