package fsys

import (
	"bufio"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxMounts is how much is read of the kernel's table of mounts, in bytes: a
// few ten thousand mounts.
const maxMounts = 4 << 20

// Place implements [FS]. Without /proc the mount is not known.
func (OS) Place(name string) (Place, error) {
	var stx unix.Statx_t
	err := ignoringEINTR(func() error {
		return unix.Statx(unix.AT_FDCWD, name, unix.AT_NO_AUTOMOUNT, unix.STATX_NLINK|unix.STATX_MNT_ID, &stx)
	})
	if err != nil {
		return Place{}, &os.PathError{Op: "statx", Path: name, Err: err}
	}
	place := Place{Links: int(stx.Nlink)}
	if isOnMachineRoot(stx) {
		place.Type, place.Root, place.Point = "ext4", "/", "/"
		return place, nil
	}
	if stx.Mask&unix.STATX_MNT_ID != 0 {
		id := strconv.FormatUint(stx.Mnt_id, 10) + " "
		for line := range mountLines(ownMounts) {
			if strings.HasPrefix(line, id) {
				m, _ := parseMount(line)
				place.Type, place.Root, place.Point = m.fstype, m.root, m.point
				break
			}
		}
		return place, nil
	}
	// A kernel before 5.8 does not say which mount it is. It is that with the
	// longest path, and of several with one path the last.
	for line := range mountLines(ownMounts) {
		if m, ok := parseMount(line); ok && len(m.point) >= len(place.Point) && isBelow(name, m.point) {
			place.Type, place.Root, place.Point = m.fstype, m.root, m.point
		}
	}
	return place, nil
}

// isOnMachineRoot reports whether a file is on the mount at / and that is all of
// an ext4 file system, whose root is inode 2. So it is on most machines, and a
// start need not read the table of mounts.
func isOnMachineRoot(file unix.Statx_t) bool {
	var root unix.Statx_t
	var disk unix.Statfs_t
	return file.Mask&unix.STATX_MNT_ID != 0 &&
		unix.Statx(unix.AT_FDCWD, "/", unix.AT_NO_AUTOMOUNT, unix.STATX_INO|unix.STATX_MNT_ID, &root) == nil &&
		root.Mnt_id == file.Mnt_id && root.Ino == 2 &&
		unix.Statfs("/", &disk) == nil && disk.Type == unix.EXT4_SUPER_MAGIC
}

// isBelow reports whether name is dir or in it.
func isBelow(name, dir string) bool {
	name = filepath.Clean(name)
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// A mount is a line of the kernel's table of mounts.
type mount struct{ device, root, point, fstype string }

const ownMounts = "/proc/self/mountinfo"

// mountLines returns the lines of a table of mounts, or none if the kernel does
// not say. Reading it asks no file system. The kernel makes as much of the
// table as is read at a time, so that little is.
func mountLines(table string) iter.Seq[string] {
	return func(yield func(string) bool) {
		file, err := OS{}.OpenFile(table, os.O_RDONLY, 0)
		if err != nil {
			return
		}
		defer file.Close()
		for in := bufio.NewReaderSize(io.LimitReader(file, maxMounts), 1024); ; {
			line, err := in.ReadString('\n')
			if err != nil || !yield(line) {
				return
			}
		}
	}
}

// parseMount parses a line such as
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
func parseMount(line string) (m mount, ok bool) {
	// The number of fields before the dash varies.
	before, after, ok := strings.Cut(line, " - ")
	fields := strings.Fields(before)
	if !ok || len(fields) < 5 {
		return m, false
	}
	fstype, _, _ := strings.Cut(after, " ")
	return mount{fields[2], unescapeMount.Replace(fields[3]), unescapeMount.Replace(fields[4]), fstype}, true
}

// unescapeMount undoes what the kernel does to white space in the table.
var unescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// MountedElsewhere implements [FS]. It looks at the mounts of this process and,
// for root, at those of other processes, such as the containers of a machine.
// It looks at the tables alone and asks no file system.
func (OS) MountedElsewhere(name string) (string, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)) // without symlinks
	if err != nil {
		return "", nil
	}
	own := mountOf(path)
	if own.device == "" {
		return "", nil
	}
	inside := filepath.Join(own.root, strings.TrimPrefix(path, own.point))
	for table, who := range mountTables() {
		for line := range mountLines(table) {
			m, ok := parseMount(line)
			if ok && m.root == inside && m.device == own.device && (who != "" || m.point != path) {
				return m.point + who, nil
			}
		}
	}
	return "", nil
}

// mountOf returns the mount on which an existing path without symlinks lies.
func mountOf(path string) (found mount) {
	for line := range mountLines(ownMounts) {
		if m, ok := parseMount(line); ok && len(m.point) >= len(found.point) && isBelow(path, m.point) {
			found = m
		}
	}
	return found
}

// maxProcesses bounds the processes whose mounts are looked at.
const maxProcesses = 4096

// mountTables returns a table of mounts for each mount namespace that this
// process may look at, with words for whose it is, which are empty for its own.
// Only root looks at others: nobody else sees those of containers, and a security
// module may log each attempt.
func mountTables() iter.Seq2[string, string] {
	return func(yield func(table, who string) bool) {
		if !yield(ownMounts, "") {
			return
		}
		if os.Geteuid() != 0 {
			return
		}
		own, err := os.Readlink("/proc/self/ns/mnt")
		names, readErr := OS{}.ReadDir("/proc")
		if err != nil || readErr != nil {
			return
		}
		seen := map[string]bool{own: true}
		for _, pid := range names[:min(len(names), maxProcesses)] {
			if pid[0] < '0' || pid[0] > '9' {
				continue
			}
			namespace, err := os.Readlink("/proc/" + pid + "/ns/mnt")
			if err != nil || seen[namespace] {
				continue
			}
			seen[namespace] = true
			if !yield("/proc/"+pid+"/mountinfo", " of process "+pid) {
				return
			}
		}
	}
}
