package config

import (
	"errors"
	"os"

	"github.com/hashicorp/go-multierror"

	"weft/state/strict"
)

// Locate gives the problems of a part of the configuration, such as static,
// their lines in the file. Other errors it leaves as they are.
func (c *Config) Locate(part string, err error) error {
	var all *multierror.Error
	if !errors.As(err, &all) || c.File == "" {
		return err
	}
	data, readErr := os.ReadFile(c.File)
	if readErr != nil {
		return err // the file went meanwhile: its problems still have their fields
	}
	var located []*strict.Problem
	for _, each := range all.Errors {
		var problem *strict.Problem
		if !errors.As(each, &problem) {
			return err
		}
		path := part
		if problem.Field != "" {
			path += "." + problem.Field
		}
		located = append(located, &strict.Problem{File: c.File, Line: strict.Line(data, 1, path), Field: path, Message: problem.Message})
	}
	return strict.Join(located)
}
