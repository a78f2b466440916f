module github.com/rollcall-dev/rollcall

go 1.26
