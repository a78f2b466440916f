package faultfs_test

import (
	"fmt"
	"os"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// A full disk that has space at the second attempt.
func ExampleFS_Inject() {
	disk := faultfs.New()
	disk.WriteFile("/etc/config.json", []byte("{}"), 0o644)
	disk.Inject(faultfs.Rule{Op: faultfs.OpSync, Name: "*.tmp", Times: 1, Err: syscall.ENOSPC})

	for range 2 {
		fmt.Println(save(disk, "/etc/config.json", `{"a":1}`, true, true) == nil)
	}
	fmt.Println(disk.Files())
	// Output:
	// false
	// true
	// [/etc/config.json]
}

// Writing in place can lose the old content.
func ExampleFS_CrashStates() {
	disk := faultfs.New()
	disk.WriteFile("/config.json", []byte(`{"old":true}`), 0o644)

	f, _ := disk.OpenFile("/config.json", os.O_WRONLY|os.O_TRUNC, 0)
	_, _ = f.Write([]byte(`{"new":1}`))
	for state := range disk.CrashStates() {
		data, _ := state.ReadFile("/config.json")
		fmt.Printf("%q %s\n", data, state.Origin())
	}
	// Output:
	// "{\"old\":true}" content of config.json: old
	// "{\"new\":1}" content of config.json: new
	// "" content of config.json: emptied
	// "{\"ne" content of config.json: half
}
