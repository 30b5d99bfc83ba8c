package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func text(name, value, doc string, field func(*Config) *string) Key {
	return Key{
		Name: name, Default: value, Doc: doc,
		set: func(c *Config, s string) error { *field(c) = s; return nil },
		get: func(c *Config) any { return *field(c) },
	}
}

func choice(name, value, doc string, field func(*Config) *string, choices ...string) Key {
	k := text(name, value, doc+": "+strings.Join(choices, ", "), field)
	k.Choices = choices
	k.set = func(c *Config, s string) error {
		if !slices.Contains(choices, s) {
			return fmt.Errorf("%s: got %q, expected one of %s", name, s, strings.Join(choices, ", "))
		}
		*field(c) = s
		return nil
	}
	return k
}

func boolean(name, value, doc string, field func(*Config) *bool) Key {
	return Key{
		Switch: true, Name: name, Default: value, Doc: doc,
		set: func(c *Config, s string) error {
			b, err := strconv.ParseBool(s)
			if err != nil {
				return fmt.Errorf("%s: got %q, expected true or false", name, s)
			}
			*field(c) = b
			return nil
		},
		get: func(c *Config) any { return *field(c) },
	}
}

// worded is a value that is read from a text and says in words what it takes.
type worded interface {
	UnmarshalText(text []byte) error
	Expected() string
}

func parsed[T any, P interface {
	*T
	worded
}](name, value, doc string, field func(*Config) *T) Key {
	return Key{
		Name: name, Default: value, Doc: doc,
		set: func(c *Config, s string) error {
			target := P(field(c))
			if err := target.UnmarshalText([]byte(s)); err != nil {
				return fmt.Errorf("%s: got %q, expected %s", name, s, target.Expected())
			}
			return nil
		},
		get: func(c *Config) any { return *field(c) },
	}
}

func integer(name, value, doc string, least, most int, field func(*Config) *int) Key {
	return Key{
		Name: name, Default: value, Doc: doc,
		set: func(c *Config, s string) error {
			n, err := strconv.Atoi(s)
			if err != nil || n < least || n > most {
				return fmt.Errorf("%s: got %q, expected a number from %d to %d", name, s, least, most)
			}
			*field(c) = n
			return nil
		},
		get: func(c *Config) any { return *field(c) },
	}
}
