package main

import "regexp"

// addresses differ from one error to the next.
var addresses = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+`)

// reason is an error without addresses.
func reason(err string) string { return addresses.ReplaceAllString(err, "ADDRESS") }
