package app

// Demo is what a module supplies (fx.Supply) so that `ergon demo` can show it:
// a configuration and an endless supply of transactions.
type Demo struct {
	// Config is an ergon.yaml; its bus section is ignored.
	Config []byte
	// Subject is what Generate's payloads are published to. Each must have one
	// output or one dead letter: that is what the demo counts.
	Subject string
	// Generate returns the payload of transaction n, as JSON. It is a function of
	// n alone.
	Generate func(n int) []byte
	// Counts names what to count in the summary: the subject whose messages each
	// entry counts.
	Counts map[string]string
}
