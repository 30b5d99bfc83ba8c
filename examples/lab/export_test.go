package lab

// What the tests need to reach inside.
var (
	WriteSysctl = writeSysctl
	Probability = probability
)
