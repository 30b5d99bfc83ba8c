// Package main compiles the control plane for the tests: `make controlplane`.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"weft/examples/lab/controlplane"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := controlplane.Compile(ctx, "examples/lab/controlplane", os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "make controlplane:", err)
		os.Exit(1)
	}
}
