package faultfs_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
)

// script is a sequence of operations for both file systems.
type script struct {
	name   string
	root   bool // needs root
	mounts bool // runs on a tmpfs in a mount namespace of its own
	act    func(*stage)
}

const rw = os.O_RDWR

var scripts = []script{
	{name: "open", act: func(s *stage) {
		s.write("file", "content", 0o644)
		s.mkdir("directory", 0o755)
		for _, name := range []string{"file", "directory", "none", "none/x", "file/x", "file/", "none/", "directory/", "", "directory/..", "directory/../file", "./file", "directory/new/"} {
			for _, flag := range []int{
				os.O_RDONLY, os.O_WRONLY, rw, os.O_RDONLY | os.O_TRUNC,
				os.O_CREATE | os.O_EXCL | os.O_WRONLY, syscall.O_DIRECTORY, syscall.O_NOFOLLOW,
			} {
				if f := s.open(name, flag, 0o600); f != nil {
					info, err := f.Stat()
					s.note("stat", err, info.Mode(), info.Name() == name)
					s.note("close", f.Close())
					if flag&os.O_CREATE != 0 {
						s.note("remove", s.Remove(s.p(name)))
					}
				}
			}
		}
		s.look("file")
		_, err := s.OpenFile("", os.O_RDONLY, 0)
		s.note("open without a name", err)
		_, err = s.OpenFile("/", os.O_WRONLY, 0)
		s.note("open /", err)
		s.open(strings.Repeat("n", 255), os.O_CREATE|rw, 0o644)
		s.open(strings.Repeat("n", 256), os.O_CREATE|rw, 0o644)
		s.open(strings.Repeat("n", 256)+"/x", os.O_RDONLY, 0)
		s.open(strings.Repeat("n/", 2100), os.O_RDONLY, 0)
		s.open("directory", os.O_CREATE, 0o644)
		s.open("directory/", os.O_CREATE|rw, 0o644)
	}},
	{name: "create", act: func(s *stage) {
		for _, perm := range []fs.FileMode{0o666, 0o600, 0o777, 0, 0o444, fs.ModeSetuid | 0o755, fs.ModeSticky | 0o644} {
			name := fmt.Sprintf("f%o", uint32(perm))
			f := s.open(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
			n, err := f.Write([]byte("abc"))
			s.note("write", err, n)
			if perm.Perm()&0o400 != 0 {
				s.look(name)
			}
			s.note("mkdir", s.Mkdir(s.p("d"+name), perm))
			s.look("d" + name)
		}
		s.note("mkdir again", s.Mkdir(s.p("df600"), 0o755))
		s.note("mkdir over file", s.Mkdir(s.p("f600"), 0o755))
		s.note("mkdir in nothing", s.Mkdir(s.p("none/x"), 0o755))
		s.note("mkdir in file", s.Mkdir(s.p("f600/x"), 0o755))
		s.note("mkdir slash", s.Mkdir(s.p("slash/"), 0o755))
		s.note("mkdir file/", s.Mkdir(s.p("f600/"), 0o755))
		s.note("mkdir .", s.Mkdir(s.p("."), 0o755))
		s.note("mkdir /", s.Mkdir("/", 0o755))
		s.need(s.Chmod(s.p("slash"), fs.ModeSetgid|0o755))
		s.note("mkdir in setgid", s.Mkdir(s.p("slash/sub"), 0o755))
		s.look("slash/sub")
		s.list("")
		s.list("slash")
	}},
	{name: "read and write", act: func(s *stage) {
		f := s.open("f", os.O_CREATE|rw, 0o644)
		n, err := f.Write([]byte("hello"))
		s.note("write", err, n)
		buf := make([]byte, 10)
		n, err = f.Read(buf)
		s.note("read at end", err, n)
		n, err = f.Read(nil)
		s.note("read nothing", err, n)
		n, err = f.Write(nil)
		s.note("write nothing", err, n)
		n, err = f.WriteAt([]byte("J"), 0)
		s.note("writeat", err, n)
		n, err = f.WriteAt([]byte("far"), 9000)
		s.note("writeat far", err, n)
		n, err = f.WriteAt([]byte("x"), -1)
		s.note("writeat negative", err, n)
		n, err = f.Write([]byte("!"))
		s.note("write goes on", err, n)
		s.note("sync", f.Sync())
		s.look("f")

		a := s.open("f", os.O_APPEND|os.O_WRONLY, 0)
		n, err = a.WriteAt([]byte("x"), 0)
		s.note("writeat to append", err, n)
		n, err = a.Write([]byte("end"))
		s.note("append", err, n)
		n, err = a.Read(buf)
		s.note("read from write-only", err, n)
		s.look("f")

		r := s.open("f", os.O_RDONLY, 0)
		n, err = r.Read(buf)
		s.note("read", err, n, string(buf[:n]))
		n, err = r.Read(buf[:3])
		s.note("read on", err, n, fmt.Sprintf("%q", buf[:n]))
		n, err = r.Write([]byte("x"))
		s.note("write to read-only", err, n)
		n, err = r.Write(nil)
		s.note("write nothing to read-only", err, n)
		n, err = r.WriteAt([]byte("x"), 0)
		s.note("writeat to read-only", err, n)
		s.note("sync read-only", r.Sync())

		tr := s.open("f", os.O_TRUNC|os.O_WRONLY, 0)
		n, err = r.Read(buf)
		s.note("read what was cut", err, n)
		n, err = a.Write([]byte("again"))
		s.note("append", err, n)
		s.look("f")
		s.note("close", tr.Close())
		s.note("close again", tr.Close())
		_, err = tr.Write([]byte("x"))
		s.note("write to closed", err)
		_, err = tr.Stat()
		s.note("stat closed", err)
		s.note("sync closed", tr.Sync())
		_, err = tr.Read(buf)
		s.note("read closed", err)

		d := s.open("", os.O_RDONLY, 0)
		n, err = d.Read(buf)
		s.note("read directory", err, n)
		s.note("sync directory", d.Sync())
		n, err = d.Write([]byte("x"))
		s.note("write directory", err, n)

		big := s.open("big", os.O_CREATE|rw, 0o644)
		n, err = big.Write(bytes.Repeat([]byte("0123456789"), 3000))
		s.note("write big", err, n)
		n, err = big.WriteAt([]byte("page boundary"), 4090)
		s.note("writeat big", err, n)
		all := make([]byte, 8)
		b2 := s.open("big", os.O_RDONLY, 0)
		for range 513 {
			_, err = b2.Read(all)
		}
		s.note("read big", err, string(all))
	}},
	{name: "remove", act: func(s *stage) {
		s.write("f", "abc", 0o644)
		s.mkdir("d", 0o755)
		s.write("d/x", "", 0o644)
		s.mkdir("e", 0o755)
		s.need(s.Symlink("f", s.p("l")))
		s.need(s.Symlink("d", s.p("ld")))
		for _, name := range []string{"none", "f/x", "none/x", "d", "f/", "e/.", "e/..", "ld/", "e/", "l", "d/x", "d", "ld"} {
			s.note("remove "+name, s.Remove(s.p(name)))
		}
		s.note("remove nothing", s.Remove(""))
		f := s.open("f", rw, 0)
		s.note("remove open", s.Remove(s.p("f")))
		n, err := f.Write([]byte("X"))
		s.note("write to removed", err, n)
		info, err := f.Stat()
		s.note("stat removed", err, info.Size(), s.LinkCount(info))
		s.write("f", "new", 0o644)
		other, err := s.Lstat(s.p("f"))
		s.note("same", err, s.SameFile(info, other))
		s.list("")
	}},
	{name: "rename", act: func(s *stage) {
		reset := func() {
			for _, name := range []string{"d/sub/x", "d/sub", "d/y", "d", "e/y", "e", "a", "b", "c", "la", "ld", "none", "new"} {
				_ = s.Remove(s.p(name))
			}
			s.write("a", "A", 0o644)
			s.write("b", "B", 0o600)
			s.mkdir("d", 0o755)
			s.mkdir("d/sub", 0o755)
			s.mkdir("e", 0o755)
			s.need(s.Symlink("a", s.p("la")))
			s.need(s.Symlink("e", s.p("ld")))
			s.need(s.Link(s.p("a"), s.p("c")))
		}
		for _, pair := range [][2]string{
			{"a", "b"}, {"a", "a"}, {"a", "c"}, {"a", "new"}, {"a", "d/y"}, {"a", "d"}, {"d", "a"}, {"d", "e"}, {"e", "d"}, {"d", "d"},
			{"d", "new"}, {"d", "d/sub/x"}, {"d/sub", "d"}, {"none", "a"}, {"none", "d"}, {"a", "none/x"}, {"a", "b/x"}, {"a/x", "b"},
			{"la", "b"}, {"b", "la"}, {"a", "new/"}, {"a/", "new"}, {"d/", "new/"}, {"a", "."}, {".", "new"}, {"d/.", "new"}, {"d/..", "new"},
			{"d/sub", "new"}, {"d/sub", "e/y"}, {"la/", "new"}, {"ld/", "new"}, {"e", "ld/"}, {"e", "b/"}, {"a", "ld/"},
		} {
			reset()
			s.note(fmt.Sprint("rename ", pair), s.Rename(s.p(pair[0]), s.p(pair[1])))
			s.list("")
			s.list("d")
			s.look("a", "b", "c", "la", "new", "d/y")
		}
		s.note("rename nothing", s.Rename("", s.p("x")))
		s.note("rename to nothing", s.Rename(s.p("b"), ""))
	}},
	{name: "exchange", act: func(s *stage) {
		s.write("a", "A", 0o644)
		s.write("b", "B", 0o600)
		s.mkdir("d", 0o755)
		s.write("d/x", "X", 0o644)
		s.mkdir("e", 0o755)
		s.need(s.Link(s.p("a"), s.p("c")))
		for _, pair := range [][2]string{
			{"a", "b"}, {"a", "none"}, {"none", "a"}, {"a", "c"}, {"a", "d/x"}, {"a", "e"}, {"a", "."},
			{"d", "e"}, {"a", "b/x"}, {"b/", "c"},
		} {
			s.note(fmt.Sprint("exchange ", pair), s.Exchange(s.p(pair[0]), s.p(pair[1])))
			s.look("a", "b", "c", "d", "d/x", "e", "e/x")
		}
	}},
	{name: "link", act: func(s *stage) {
		s.write("a", "A", 0o644)
		s.mkdir("d", 0o755)
		s.need(s.Symlink("a", s.p("la")))
		s.need(s.Symlink("none", s.p("dangling")))
		for _, pair := range [][2]string{
			{"a", "b"}, {"a", "b"}, {"a", "a"}, {"a", "d"}, {"d", "new"}, {"none", "new"}, {"none", "a"}, {"a", "none/x"}, {"a", "b/x"},
			{"la", "lb"}, {"a", "dangling"}, {"a", "new/"}, {"a/", "new"}, {"a", "d/c"}, {"dangling", "new2"}, {"a", "."}, {"a", "la/"}, {"a", "b/"}, {"la/", "new3"}, {"a", "dangling/"},
		} {
			s.note(fmt.Sprint("link ", pair), s.Link(s.p(pair[0]), s.p(pair[1])))
		}
		s.look("a", "b", "lb", "new", "d/c")
		i, err1 := s.Lstat(s.p("a"))
		j, err2 := s.Lstat(s.p("d/c"))
		s.note("same", err1, err2, s.SameFile(i, j))
		s.note("remove", s.Remove(s.p("a")))
		s.look("b", "d/c")
	}},
	{name: "symlinks", act: func(s *stage) {
		s.mkdir("d", 0o755)
		s.write("d/f", "F", 0o644)
		for name, target := range map[string]string{
			"l": "d/f", "abs": s.p("d/f"), "ld": "d", "d/up": "../l", "self": "self", "x": "y", "y": "x", "dangling": "d/new", "deep": "ld/up",
			"dslash": "d/", "fslash": "d/f/",
		} {
			s.need(s.Symlink(target, s.p(name)))
		}
		last := "d/f"
		for i := range 42 {
			name := fmt.Sprint("chain", i)
			s.need(s.Symlink(last, s.p(name)))
			last = name
		}
		for _, name := range []string{
			"l", "abs", "ld", "ld/f", "ld/up", "self", "x", "self/a", "dangling", "deep", "chain39", "chain40", "l/", "ld/", "ld/.", "ld/../l",
			"dslash", "fslash", "dslash/f",
		} {
			for _, flag := range []int{os.O_RDONLY, rw, os.O_RDONLY | syscall.O_NOFOLLOW, rw | syscall.O_NOFOLLOW, syscall.O_DIRECTORY | syscall.O_NOFOLLOW} {
				s.open(name, flag, 0)
			}
			s.look(name)
			target, link, err := s.Readlink(s.p(name))
			if err == nil {
				s.note("of a symlink", nil, link.Mode()&fs.ModeSymlink != 0, link.Name() == name)
			}
			s.note("readlink "+name, err, strings.TrimPrefix(target, s.dir))
			s.note("access "+name, s.CheckWritable(s.p(name)))
			names, err := s.ReadDir(s.p(name))
			s.note("readdir "+name, err, len(names))
			s.note("syncdir "+name, s.SyncDir(s.p(name)))
		}
		_, _, err := s.Readlink(s.p("none"))
		s.note("readlink none", err)
		_, _, err = s.Readlink(s.p("d"))
		s.note("readlink directory", err)
		s.note("mkdir dangling", s.Mkdir(s.p("dangling"), 0o755))
		s.note("mkdir dangling/", s.Mkdir(s.p("dangling/"), 0o755))
		s.open("dangling/", os.O_CREATE|rw, 0o644)
		s.open("none/", os.O_CREATE|rw, 0o644)
		s.open("dslash", os.O_CREATE|rw, 0o644)
		s.open("dangling", os.O_CREATE|os.O_EXCL|rw, 0o644)
		s.open("dangling", os.O_CREATE|syscall.O_NOFOLLOW|rw, 0o644)
		s.open("dangling", os.O_CREATE|rw, 0o644)
		s.open("self", os.O_CREATE|rw, 0o644)
		s.look("dangling", "d/new")
		s.note("rename symlink", s.Rename(s.p("l"), s.p("m")))
		s.note("remove symlink", s.Remove(s.p("abs")))
		s.list("")
		s.list("ld")
	}},
	{name: "directories", act: func(s *stage) {
		s.write("f", "", 0o644)
		s.mkdir("d", 0o755)
		for _, name := range []string{"d", "f", "none", "none/x", "f/x", "."} {
			s.note("syncdir "+name, s.SyncDir(s.p(name)))
			s.list(name)
			s.note("access "+name, s.CheckWritable(s.p(name)))
			is, err := s.IsMountPoint(s.p(name))
			s.note("mount point "+name, err, is)
		}
		is, err := s.IsMountPoint("/")
		s.note("mount point /", err, is)
	}},
	{name: "locks", act: func(s *stage) {
		s.write("f", "", 0o644)
		s.mkdir("d", 0o755)
		for _, name := range []string{"f", "none", "f/x"} {
			_, err := s.LockDir(s.p(name))
			s.note("lock "+name, err)
		}
		unlock, err := s.LockDir(s.p("d"))
		s.note("lock", err)
		_, err = s.LockDir(s.p("d/."))
		s.note("lock again", err)
		other, err := s.LockDir(s.p(""))
		s.note("lock other", err)
		other()
		s.note("rename", s.Rename(s.p("d"), s.p("e")))
		_, err = s.LockDir(s.p("e"))
		s.note("lock again", err)
		unlock()
		unlock()
		unlock, err = s.LockDir(s.p("e"))
		s.note("lock after unlock", err)
		other()
		_, err = s.LockDir(s.p("e"))
		s.note("lock again", err)
		unlock()
	}},
	{name: "writers", act: func(s *stage) {
		s.write("f", "F", 0o644)
		r := s.open("f", os.O_RDONLY, 0)
		has := func() {
			is, err := r.HasWriters()
			s.note("writers", err, is)
		}
		has()
		r2 := s.open("f", os.O_RDONLY, 0)
		has()
		w := s.open("f", os.O_WRONLY, 0)
		has()
		is, err := w.HasWriters()
		s.note("asked of a writer", err, is)
		s.note("close", w.Close())
		has()
		b := s.open("f", rw, 0)
		has()
		s.note("remove", s.Remove(s.p("f")))
		has()
		s.note("close", b.Close())
		has()
		s.note("close", r2.Close())
		d := s.open("", os.O_RDONLY, 0)
		is, err = d.HasWriters()
		s.note("of a directory", err, is)
	}},
	{name: "amend", act: func(s *stage) {
		s.write("f", "FG", 0o644)
		f := s.open("f", rw, 0)
		s.note("amend", f.Amend([]byte("FG"), []byte("H"), 1))
		s.note("append", f.Amend([]byte("FH"), []byte("  "), 2))
		s.note("other content", f.Amend([]byte("FH"), []byte("x"), 0))
		s.note("shorter content", f.Amend([]byte("FH   "), []byte("x"), 0))
		for _, flag := range []int{os.O_RDONLY, os.O_WRONLY} {
			other := s.open("f", flag, 0)
			s.note("open elsewhere", f.Amend([]byte("FH  "), []byte("x"), 0))
			s.note("close", other.Close())
		}
		s.note("again", f.Amend([]byte("FH  "), []byte("G"), 1))
		s.note("close", f.Close())
		r := s.open("f", os.O_RDONLY, 0)
		s.note("read-only", r.Amend([]byte("FG  "), []byte("x"), 0))
		s.note("close", r.Close())
		w := s.open("f", os.O_WRONLY, 0)
		s.note("write-only", w.Amend([]byte("FG  "), []byte("x"), 0))
		s.note("close", w.Close())
		d := s.open("", os.O_RDONLY, 0)
		s.note("directory", d.Amend(nil, []byte("x"), 0))
	}},
	{name: "FIFO, socket, device", root: true, act: func(s *stage) {
		s.need(s.Mknod(s.p("fifo"), fs.ModeNamedPipe|0o644))
		s.need(s.Mknod(s.p("sock"), fs.ModeSocket|0o644))
		s.need(s.Mknod(s.p("dev"), fs.ModeDevice|fs.ModeCharDevice|0o666))
		for _, name := range []string{"fifo", "sock", "dev"} {
			s.look(name)
			s.note("access", s.CheckWritable(s.p(name)))
			for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, rw, os.O_CREATE | rw, os.O_WRONLY | os.O_TRUNC, syscall.O_DIRECTORY} {
				if f := s.open(name, flag, 0o644); f != nil {
					info, err := f.Stat()
					s.note("stat", err, info.Mode())
					if flag == os.O_RDONLY {
						n, err := f.Read(make([]byte, 1))
						s.note("read", err, n)
					}
					if name == "dev" {
						n, err := f.Write([]byte("x"))
						s.note("write", err, n)
					}
					s.note("close", f.Close())
				}
			}
		}
		s.list("")
		s.note("rename", s.Rename(s.p("fifo"), s.p("fifo2")))
		s.note("link", s.Link(s.p("sock"), s.p("sock2")))
		s.note("remove", s.Remove(s.p("dev")))
		s.list("")
	}},
	{name: "attributes", act: func(s *stage) {
		s.write("src", "S", 0o640)
		s.write("dst", "D", 0o600)
		s.need(s.SetXattr(s.p("src"), "user.a", "1"))
		s.need(s.SetXattr(s.p("dst"), "user.b", "2"))
		src, dst := s.open("src", os.O_RDONLY, 0), s.open("dst", rw, 0)
		s.note("copy", dst.CopyAttributes(src))
		s.look("dst")
		s.xattrs("dst")
		s.note("copy again", dst.CopyAttributes(src))
		s.write("suid", "S", fs.ModeSetuid|0o755)
		s.note("copy", dst.CopyAttributes(s.open("suid", os.O_RDONLY, 0)))
		s.look("dst")
		s.xattrs("dst")
	}},
	{name: "owner and mode", root: true, act: func(s *stage) {
		f := s.open("file", os.O_CREATE|rw, 0o600)
		s.note("chown", f.Chown(1000, 2000))
		s.look("file")
		s.note("chown group", f.Chown(-1, 1000))
		s.note("chown user", f.Chown(0, -1))
		s.note("chmod", f.Chmod(0o6755))
		s.look("file")
		s.need(s.Chmod(s.p(""), 0o777))
		s.as(1000, func() {
			f := s.open("mine", os.O_CREATE|rw, 0o600)
			s.note("chown to other", f.Chown(2000, -1))
			s.note("chown to other group", f.Chown(-1, 2000))
			s.note("chown to same", f.Chown(1000, 1000))
			s.note("chmod", f.Chmod(0o640))
			s.look("mine")
			foreign := s.open("file", os.O_RDONLY, 0)
			s.note("chmod foreign", foreign.Chmod(0o640))
			s.note("chown foreign", foreign.Chown(1000, -1))
		})
	}},
	{name: "attributes of others", root: true, act: func(s *stage) {
		s.write("src", "S", 0o664)
		s.need(s.Chown(s.p("src"), 1000, 2000))
		s.write("dst", "D", 0o600)
		s.note("copy", s.open("dst", rw, 0).CopyAttributes(s.open("src", os.O_RDONLY, 0)))
		s.look("dst")

		s.need(s.Chmod(s.p(""), 0o777))
		s.as(1000, func() {
			f := s.open("mine", os.O_CREATE|rw, 0o600)
			s.note("copy foreign group", f.CopyAttributes(s.open("src", os.O_RDONLY, 0)))
			s.look("mine")
			s.note("copy to foreign", s.open("dst", os.O_RDONLY, 0).CopyAttributes(f))
		})
		s.write("root", "R", 0o644)
		s.as(1000, func() {
			s.note("copy foreign user", s.open("mine", rw, 0).CopyAttributes(s.open("root", os.O_RDONLY, 0)))
			s.write("m1", "", 0o751)
			s.note("copy own", s.open("mine", rw, 0).CopyAttributes(s.open("m1", os.O_RDONLY, 0)))
			s.look("mine")
			s.note("writers of foreign", second(s.open("root", os.O_RDONLY, 0).HasWriters()))
			s.note("writers of own", second(s.open("m1", os.O_RDONLY, 0).HasWriters()))
		})
	}},
	{name: "permissions", root: true, act: func(s *stage) {
		for _, perm := range []fs.FileMode{0o755, 0o700, 0o711, 0o777, 0o733, 0o744, 0o722, fs.ModeSticky | 0o777} {
			d := fmt.Sprintf("d%o", uint32(perm))
			s.mkdir(d, perm)
			s.write(d+"/open", "O", 0o666)
			s.write(d+"/read", "R", 0o644)
			s.write(d+"/closed", "C", 0o600)
			s.write(d+"/mine", "M", 0o600)
			s.need(s.Chown(s.p(d+"/mine"), 1000, 1000))
			s.mkdir(d+"/sub", 0o755)
			s.mkdir(d+"/mysub", 0o755)
			s.need(s.Chown(s.p(d+"/mysub"), 1000, 1000))
			s.as(1000, func() {
				s.list(d)
				s.note("access", s.CheckWritable(s.p(d)))
				s.note("syncdir", s.SyncDir(s.p(d)))
				unlock, err := s.LockDir(s.p(d))
				s.note("lock", err)
				if err == nil {
					unlock()
				}
				for _, name := range []string{"open", "read", "closed", "mine", "none", "sub"} {
					name = d + "/" + name
					s.look(name)
					s.note("access", s.CheckWritable(s.p(name)))
					for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, rw, os.O_RDONLY | os.O_TRUNC, os.O_CREATE | os.O_EXCL | rw} {
						s.open(name, flag, 0o644)
					}
				}
				s.note("mkdir", s.Mkdir(s.p(d+"/new"), 0o755))
				s.note("mkdir existing", s.Mkdir(s.p(d+"/sub"), 0o755))
				s.note("link", s.Link(s.p(d+"/mine"), s.p(d+"/link")))
				s.note("link existing", s.Link(s.p(d+"/mine"), s.p(d+"/open")))
				s.note("exchange", s.Exchange(s.p(d+"/mine"), s.p(d+"/open")))
				s.note("rename", s.Rename(s.p(d+"/open"), s.p(d+"/renamed")))
				s.note("rename over", s.Rename(s.p(d+"/mine"), s.p(d+"/read")))
				s.note("rename nothing", s.Rename(s.p(d+"/nothing"), s.p(d+"/read")))
				s.note("move directory", s.Rename(s.p(d+"/sub"), s.p(d+"/mysub/sub")))
				s.note("remove foreign", s.Remove(s.p(d+"/closed")))
				s.note("remove own", s.Remove(s.p(d+"/read")))
				s.note("remove nothing", s.Remove(s.p(d+"/nothing")))
				s.note("remove directory", s.Remove(s.p(d+"/sub")))
			})
			s.list(d)
		}
		s.write("readonly", "R", 0o444)
		s.note("root may", s.CheckWritable(s.p("readonly")))
		s.open("readonly", rw, 0)
		s.as(1000, func() {
			s.note("create", s.Mkdir(s.p("new"), 0o755))
			s.open("new", os.O_CREATE|rw, 0o644)
		})
	}},
	{name: "setuid", root: true, act: func(s *stage) {
		for _, perm := range []fs.FileMode{fs.ModeSetuid | 0o777, fs.ModeSetgid | 0o777, fs.ModeSetgid | 0o767, fs.ModeSticky | 0o777} {
			name := fmt.Sprintf("f%o", uint32(perm))
			for _, flag := range []int{os.O_WRONLY, os.O_WRONLY | os.O_TRUNC} {
				s.write(name, "content", perm)
				s.need(s.Chown(s.p(name), 1000, 1000))
				s.need(s.Chmod(s.p(name), perm))
				n, err := s.open(name, flag, 0).Write([]byte("x"))
				s.note("write", err, n)
				s.look(name)
				s.as(1000, func() { s.open(name, flag, 0) })
				s.look(name)
				s.as(1000, func() {
					n, err := s.open(name, flag, 0).Write([]byte("x"))
					s.note("write", err, n)
				})
				s.look(name)
			}
		}
	}},
	{name: "faults", root: true, act: func(s *stage) {
		s.write("f", "F", 0o640)
		s.need(s.Chown(s.p("f"), 0, 1000))
		s.write("g", "G", 0o064)
		s.need(s.Chown(s.p("g"), 1000, 1000))
		s.as(1000, func() {
			s.open("f", os.O_RDONLY, 0)
			s.open("f", rw, 0)
			s.open("g", os.O_RDONLY, 0)
			s.note("access", s.CheckWritable(s.p("g")))
		})
		s.as(1001, func() {
			s.open("f", os.O_RDONLY, 0)
			s.open("g", os.O_RDONLY, 0)
		})
	}},
	{name: "read-only", root: true, mounts: true, act: func(s *stage) {
		s.mkdir("ro", 0o777)
		s.write("ro/f", "F", 0o666)
		s.write("ro/g", "G", 0o600)
		s.mkdir("ro/d", 0o755)
		s.need(s.Mknod(s.p("ro/fifo"), fs.ModeNamedPipe|0o666))
		s.write("out", "O", 0o644)
		s.need(s.ReadOnly(s.p("ro")))
		try := func() {
			for _, name := range []string{"", "/f", "/g", "/d", "/none", "/fifo"} {
				s.note("access "+name, s.CheckWritable(s.p("ro"+name)))
				for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, os.O_RDONLY | os.O_TRUNC, os.O_CREATE, os.O_CREATE | rw, os.O_CREATE | os.O_EXCL | rw} {
					s.open("ro"+name, flag, 0o644)
				}
				s.note("remove"+name, s.Remove(s.p("ro"+name)))
				s.note("mkdir "+name, s.Mkdir(s.p("ro"+name), 0o755))
			}
			for _, pair := range [][2]string{
				{"ro/f", "ro/g"}, {"ro/f", "ro/none"}, {"ro/none", "ro/f"}, {"out", "ro/f"}, {"out", "ro/new"}, {"ro/f", "out"},
				{"ro/f", "new"}, {"none", "ro/new"}, {"ro/f", "ro/f"}, {"ro/f", "ro/d"}, {"ro", "new"},
			} {
				s.note(fmt.Sprint("rename ", pair), s.Rename(s.p(pair[0]), s.p(pair[1])))
				s.note(fmt.Sprint("exchange ", pair), s.Exchange(s.p(pair[0]), s.p(pair[1])))
				s.note(fmt.Sprint("link ", pair), s.Link(s.p(pair[0]), s.p(pair[1])))
			}
			s.note("syncdir", s.SyncDir(s.p("ro")))
			unlock, err := s.LockDir(s.p("ro"))
			s.note("lock", err)
			unlock()
		}
		try()
		f, g := s.open("ro/f", os.O_RDONLY, 0), s.open("ro/g", os.O_RDONLY, 0)
		s.note("sync", f.Sync())
		s.note("copy", f.CopyAttributes(g))
		is, err := s.IsMountPoint(s.p("ro"))
		s.note("mount point", err, is)
		is, err = s.IsMountPoint(s.p("ro/f"))
		s.note("mount point", err, is)
		s.as(1000, try)
	}},
	{name: "mount points", root: true, mounts: true, act: func(s *stage) {
		s.write("f", "F", 0o644)
		s.write("g", "G", 0o644)
		s.mkdir("d", 0o755)
		s.write("d/x", "X", 0o644)
		s.mkdir("d/sub", 0o755)
		s.need(s.MountPoint(s.p("f")))
		s.need(s.MountPoint(s.p("d")))
		for _, name := range []string{"f", "g", "d", "d/x", "d/sub", "none"} {
			is, err := s.IsMountPoint(s.p(name))
			s.note("mount point "+name, err, is)
		}
		for _, pair := range [][2]string{
			{"g", "f"}, {"f", "g"}, {"f", "new"}, {"f", "f"}, {"g", "d/x"}, {"d/x", "g"}, {"g", "d/new"}, {"d", "new"}, {"d/x", "d/y"},
			{"d/y", "d/x"}, {"d/x", "new"}, {"none", "d/x"}, {"none", "f"}, {"f", "d/new"},
		} {
			s.note(fmt.Sprint("rename ", pair), s.Rename(s.p(pair[0]), s.p(pair[1])))
			s.note(fmt.Sprint("exchange ", pair), s.Exchange(s.p(pair[0]), s.p(pair[1])))
			s.note(fmt.Sprint("link ", pair), s.Link(s.p(pair[0]), s.p(pair[1])))
			_ = s.Remove(s.p("d/new"))
			_ = s.Remove(s.p("new"))
			s.list("")
			s.list("d")
		}
		s.note("remove f", s.Remove(s.p("f")))
		s.note("remove d", s.Remove(s.p("d")))
		s.note("access", s.CheckWritable(s.p("f")))
		w := s.open("f", os.O_WRONLY|os.O_TRUNC, 0)
		n, err := w.Write([]byte("in place"))
		s.note("write", err, n)
		s.look("f")
	}},
	{name: "immutable", root: true, act: func(s *stage) {
		s.write("f", "F", 0o666)
		s.write("g", "G", 0o644)
		s.mkdir("d", 0o777)
		s.write("d/x", "X", 0o666)
		w := s.open("f", os.O_WRONLY, 0)
		s.need(s.Immutable(s.p("f"), true))
		s.need(s.Immutable(s.p("d"), true))
		try := func() {
			for _, name := range []string{"f", "d", "d/x", "d/new"} {
				s.note("access "+name, s.CheckWritable(s.p(name)))
				for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, os.O_RDONLY | os.O_TRUNC, os.O_CREATE | os.O_EXCL | rw} {
					s.open(name, flag, 0o644)
				}
				s.note("remove"+name, s.Remove(s.p(name)))
			}
			for _, pair := range [][2]string{{"f", "g"}, {"g", "f"}, {"f", "new"}, {"f", "f"}, {"d/x", "d/y"}, {"d/x", "g"}, {"g", "d/y"}, {"d", "new"}} {
				s.note(fmt.Sprint("rename ", pair), s.Rename(s.p(pair[0]), s.p(pair[1])))
				s.note(fmt.Sprint("exchange ", pair), s.Exchange(s.p(pair[0]), s.p(pair[1])))
				s.note(fmt.Sprint("link ", pair), s.Link(s.p(pair[0]), s.p(pair[1])))
			}
		}
		try()
		s.as(1000, try)
		s.note("copy", w.CopyAttributes(s.open("g", os.O_RDONLY, 0)))
		s.need(s.Immutable(s.p("f"), false))
		s.need(s.Immutable(s.p("d"), false))
		s.list("")
		s.list("d")
	}},
}

func (s *stage) xattrs(name string) {
	attrs, err := s.Xattrs(s.p(name))
	s.note("xattrs "+name, err, slices.Sorted(maps.Keys(attrs)), attrs)
}
