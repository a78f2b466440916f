//go:build linux

package lab

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// The operations of a faultServer. Each is recorded, meets the rules, and
// goes on to the loopback file system.

func (s *faultServer) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	full := s.child(header.NodeId, name)
	return s.do(Call{Op: Lookup, Name: full}, func() fuse.Status {
		status := s.RawFileSystem.Lookup(cancel, header, name, out)
		if status.Ok() {
			s.setName(out.NodeId, full)
		}
		return status
	})
}

func (s *faultServer) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return s.do(Call{Op: GetAttr, Name: s.name(in.NodeId)}, func() fuse.Status {
		return s.RawFileSystem.GetAttr(cancel, in, out)
	})
}

func (s *faultServer) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	return s.do(Call{Op: GetAttr, Name: s.name(in.NodeId)}, func() fuse.Status {
		return s.RawFileSystem.Statx(cancel, in, out)
	})
}

func (s *faultServer) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return s.do(Call{Op: SetAttr, Name: s.name(in.NodeId)}, func() fuse.Status {
		return s.RawFileSystem.SetAttr(cancel, in, out)
	})
}

func (s *faultServer) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return s.do(Call{Op: Open, Name: s.name(in.NodeId), Flags: in.Flags}, func() fuse.Status {
		status := s.RawFileSystem.Open(cancel, in, out)
		s.setFlags(out)
		return status
	})
}

func (s *faultServer) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	full := s.child(in.NodeId, name)
	return s.do(Call{Op: Create, Name: full, Flags: in.Flags}, func() fuse.Status {
		status := s.RawFileSystem.Create(cancel, in, name, out)
		if status.Ok() {
			s.setName(out.NodeId, full)
		}
		s.setFlags(&out.OpenOut)
		return status
	})
}

// Tmpfile refuses to create files without a name.
func (s *faultServer) Tmpfile(cancel <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	return fuse.Status(unix.EOPNOTSUPP)
}

func (s *faultServer) setFlags(out *fuse.OpenOut) {
	out.OpenFlags &^= fuse.FOPEN_KEEP_CACHE
	if s.direct {
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO
	}
}

func (s *faultServer) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (result fuse.ReadResult, status fuse.Status) {
	status = s.do(Call{Op: Read, Name: s.name(in.NodeId)}, func() fuse.Status {
		var status fuse.Status
		result, status = s.RawFileSystem.Read(cancel, in, buf)
		return status
	})
	if !status.Ok() {
		result = nil
	}
	return result, status
}

func (s *faultServer) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (n uint32, status fuse.Status) {
	status = s.do(Call{Op: Write, Name: s.name(in.NodeId)}, func() fuse.Status {
		var status fuse.Status
		n, status = s.RawFileSystem.Write(cancel, in, data)
		return status
	})
	return n, status
}

func (s *faultServer) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (n uint32, status fuse.Status) {
	status = s.do(Call{Op: Write, Name: s.name(in.NodeId)}, func() fuse.Status {
		var status fuse.Status
		n, status = s.RawFileSystem.Writev(cancel, in, data)
		return status
	})
	return n, status
}

// CopyFileRange is not supported, so the kernel reads and writes.
func (s *faultServer) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

func (s *faultServer) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return s.do(Call{Op: Fsync, Name: s.name(in.NodeId)}, func() fuse.Status {
		return s.RawFileSystem.Fsync(cancel, in)
	})
}

func (s *faultServer) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	return s.do(Call{Op: Flush, Name: s.name(in.NodeId)}, func() fuse.Status {
		return s.RawFileSystem.Flush(cancel, in)
	})
}

func (s *faultServer) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	s.do(Call{Op: Release, Name: s.name(in.NodeId)}, func() fuse.Status {
		s.RawFileSystem.Release(cancel, in)
		return fuse.OK
	})
}

func (s *faultServer) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	return s.do(Call{Op: Fallocate, Name: s.name(in.NodeId)}, func() fuse.Status {
		return s.RawFileSystem.Fallocate(cancel, in)
	})
}

func (s *faultServer) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return s.do(Call{Op: OpenDir, Name: s.name(in.NodeId)}, func() fuse.Status {
		return s.RawFileSystem.OpenDir(cancel, in, out)
	})
}

func (s *faultServer) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.do(Call{Op: ReadDir, Name: s.name(in.NodeId)}, func() fuse.Status {
		return s.RawFileSystem.ReadDir(cancel, in, out)
	})
}

func (s *faultServer) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return s.do(Call{Op: FsyncDir, Name: s.name(in.NodeId)}, func() fuse.Status {
		return s.RawFileSystem.FsyncDir(cancel, in)
	})
}

func (s *faultServer) ReleaseDir(in *fuse.ReleaseIn) {
	s.do(Call{Op: ReleaseDir, Name: s.name(in.NodeId)}, func() fuse.Status {
		s.RawFileSystem.ReleaseDir(in)
		return fuse.OK
	})
}

func (s *faultServer) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	full := s.child(in.NodeId, name)
	return s.do(Call{Op: Mknod, Name: full}, func() fuse.Status {
		status := s.RawFileSystem.Mknod(cancel, in, name, out)
		if status.Ok() {
			s.setName(out.NodeId, full)
		}
		return status
	})
}

func (s *faultServer) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	full := s.child(in.NodeId, name)
	return s.do(Call{Op: Mkdir, Name: full}, func() fuse.Status {
		status := s.RawFileSystem.Mkdir(cancel, in, name, out)
		if status.Ok() {
			s.setName(out.NodeId, full)
		}
		return status
	})
}

func (s *faultServer) Rmdir(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return s.do(Call{Op: Rmdir, Name: s.child(header.NodeId, name)}, func() fuse.Status {
		return s.RawFileSystem.Rmdir(cancel, header, name)
	})
}

func (s *faultServer) Unlink(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return s.do(Call{Op: Unlink, Name: s.child(header.NodeId, name)}, func() fuse.Status {
		return s.RawFileSystem.Unlink(cancel, header, name)
	})
}

func (s *faultServer) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	c := Call{Op: Rename, Name: s.child(in.NodeId, oldName), To: s.child(in.Newdir, newName), Flags: in.Flags}
	exchange := in.Flags&unix.RENAME_EXCHANGE != 0
	if exchange {
		c.Op = Exchange
	}
	return s.do(c, func() fuse.Status {
		status := s.RawFileSystem.Rename(cancel, in, oldName, newName)
		if status.Ok() {
			s.moved(c.Name, c.To, exchange)
		}
		return status
	})
}

func (s *faultServer) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	c := Call{Op: Link, Name: s.name(in.Oldnodeid), To: s.child(in.NodeId, name)}
	return s.do(c, func() fuse.Status {
		status := s.RawFileSystem.Link(cancel, in, name, out)
		if status.Ok() {
			s.setName(out.NodeId, c.To)
		}
		return status
	})
}

func (s *faultServer) Symlink(cancel <-chan struct{}, header *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	full := s.child(header.NodeId, name)
	return s.do(Call{Op: Symlink, Name: full, To: target}, func() fuse.Status {
		status := s.RawFileSystem.Symlink(cancel, header, target, name, out)
		if status.Ok() {
			s.setName(out.NodeId, full)
		}
		return status
	})
}

func (s *faultServer) Readlink(cancel <-chan struct{}, header *fuse.InHeader) (target []byte, status fuse.Status) {
	status = s.do(Call{Op: Readlink, Name: s.name(header.NodeId)}, func() fuse.Status {
		var status fuse.Status
		target, status = s.RawFileSystem.Readlink(cancel, header)
		return status
	})
	return target, status
}

func (s *faultServer) GetXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string, dest []byte) (n uint32, status fuse.Status) {
	if attr == "security.capability" {
		return s.RawFileSystem.GetXAttr(cancel, header, attr, dest)
	}
	status = s.do(Call{Op: GetXattr, Name: s.name(header.NodeId), To: attr}, func() fuse.Status {
		var status fuse.Status
		n, status = s.RawFileSystem.GetXAttr(cancel, header, attr, dest)
		return status
	})
	return n, status
}

func (s *faultServer) ListXAttr(cancel <-chan struct{}, header *fuse.InHeader, dest []byte) (n uint32, status fuse.Status) {
	status = s.do(Call{Op: ListXattr, Name: s.name(header.NodeId)}, func() fuse.Status {
		var status fuse.Status
		n, status = s.RawFileSystem.ListXAttr(cancel, header, dest)
		return status
	})
	return n, status
}

func (s *faultServer) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	return s.do(Call{Op: SetXattr, Name: s.name(in.NodeId), To: attr}, func() fuse.Status {
		return s.RawFileSystem.SetXAttr(cancel, in, attr, data)
	})
}

func (s *faultServer) RemoveXAttr(cancel <-chan struct{}, header *fuse.InHeader, attr string) fuse.Status {
	return s.do(Call{Op: RemoveXattr, Name: s.name(header.NodeId), To: attr}, func() fuse.Status {
		return s.RawFileSystem.RemoveXAttr(cancel, header, attr)
	})
}

func (s *faultServer) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	return s.do(Call{Op: Statfs, Name: s.name(in.NodeId)}, func() fuse.Status {
		return s.RawFileSystem.StatFs(cancel, in, out)
	})
}
