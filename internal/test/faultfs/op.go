package faultfs

import "slices"

// Op is a kind of operation: a method of fsys.FS or fsys.File, or the
// unlock function that LockDir returns.
type Op string

// The operations. SameFile, LinkCount, Owner, and Self are none, because they only use
// the results of others.
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
	OpPlace          Op = "place"
	OpElsewhere      Op = "elsewhere" // MountedElsewhere
	OpRead           Op = "read"
	OpWrite          Op = "write"
	OpWriteAt        Op = "writeat"
	OpStat           Op = "stat" // of an open file
	OpSync           Op = "sync"
	OpClose          Op = "close"
	OpCopyAttributes Op = "copyattributes"
	OpChown          Op = "chown"
	OpChmod          Op = "chmod"
	OpHasWriters     Op = "haswriters"
	OpAmend          Op = "amend"
)

var ops = []Op{
	OpOpen, OpLstat, OpReadlink, OpReadDir, OpMkdir, OpRemove, OpRename, OpLink, OpExchange, OpSyncDir, OpLock, OpUnlock,
	OpCheckWritable, OpMountPoint, OpPlace, OpElsewhere, OpRead, OpWrite, OpWriteAt, OpStat, OpSync, OpClose, OpCopyAttributes,
	OpChown, OpChmod, OpHasWriters, OpAmend,
}

// Ops returns every operation, so that a test can fail each in turn.
func Ops() []Op { return slices.Clone(ops) }
