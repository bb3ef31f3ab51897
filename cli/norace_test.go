//go:build !race

package cli_test

// memoryFactor is 1 without the race detector, see there.
const memoryFactor = 1
