package main

import (
	"errors"
	"strings"

	"weft/render"
	"weft/render/apply"
)

// Exit codes, which scripts may rely on.
const (
	exitOK         = 0
	exitError      = 1
	exitChanges    = 2
	exitTemplate   = 3
	exitState      = 4
	exitRefused    = 5
	exitReturned   = 7
	exitDiffers    = 8
	exitCannotTell = 9
	exitUsage      = 64
)

// coded is an error with an exit code of its own.
type coded struct {
	code int
	err  error
}

func (c coded) Error() string { return c.err.Error() }
func (c coded) Unwrap() error { return c.err }

// errSilent ends a command whose output has said all.
var errSilent = errors.New("no message")

func usage(err error) error { return coded{exitUsage, err} }

func exitCode(err error) int {
	var c coded
	var failed *render.Error
	var refused *apply.Refusal
	var unsure *apply.Unproven
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &c):
		return c.code
	case errors.As(err, &unsure):
		return exitCode(unproven(unsure.Report))
	case errors.As(err, &refused):
		return exitRefused
	case errors.As(err, &failed):
		return exitTemplate
	case strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	}
	return exitError
}

// detail is the error with the template lines around it, where it has some.
func detail(err error) string {
	var failed *render.Error
	if errors.As(err, &failed) && failed.Error() == err.Error() {
		return failed.Detail()
	}
	return err.Error()
}
