package durable

import "golang.org/x/sys/windows"

// FreeSpace returns how many bytes this process may still write to the file
// system of a directory. ok is false if that is not known.
func FreeSpace(dir string) (free int64, ok bool) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	var available uint64
	if err := windows.GetDiskFreeSpaceEx(path, &available, nil, nil); err != nil {
		return 0, false
	}
	return int64(min(available, 1<<62)), true
}
