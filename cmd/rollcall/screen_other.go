//go:build !windows

package main

import "os"

func showsColors(*os.File) bool { return true }
