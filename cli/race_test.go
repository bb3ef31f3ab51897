//go:build race

package cli_test

// memoryFactor is what the race detector multiplies memory by, about: it keeps shadows of
// all that is used.
const memoryFactor = 2
