module github.com/rollcall-dev/rollcall

go 1.26

require (
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/tailscale/hujson v0.0.0-20260727124030-b80ff77dac4f // indirect
	golang.org/x/sys v0.40.0 // indirect
)
