// Command weft steers new NodePort connections to the endpoints that answer
// fastest. Each subcommand has a file; `weft run` joins the watcher, which
// writes the state file, and the applier, which reads it.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
