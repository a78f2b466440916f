package platform

import (
	"fmt"

	"golang.org/x/sys/windows"
)

func release() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf("%d.%d", v.MajorVersion, v.MinorVersion)
}
