package config

import "github.com/ergon-framework/ergon/bus"

// Parking is where transactions wait whose next attempt is further off than
// transaction.redeliver_over, with the keys of bus.ParkingConfig; its
// subject_prefix is the subject here.
type Parking struct {
	// The stream. It is made when it is missing, if a task parks. Default
	// ERGON_PARKED.
	Stream string `yaml:"stream"`
	// What its subjects begin with. Default ergon.parked.
	Subject string `yaml:"subject"`
	// What the stream is kept in when it is made: file or memory. Default file.
	Storage string `yaml:"storage"`
	// How many servers of a cluster keep a copy, up to 5; also of the record of
	// starts that never ended. Default 0, which is one.
	Replicas int `yaml:"replicas"`
}

// Config is p for the bus.
func (p Parking) Config() bus.ParkingConfig {
	return bus.ParkingConfig{Stream: p.Stream, SubjectPrefix: p.Subject, Storage: p.Storage, Replicas: p.Replicas}
}

func (v *validator) parking(p path, c Parking) {
	v.check(p.key("stream"), checkName("stream", c.Stream))
	v.check(p.key("subject"), checkSubject(c.Subject, false))
	v.word(p.key("storage"), c.Storage, bus.StorageFile, bus.StorageMemory)
	v.replicas(p.key("replicas"), c.Replicas)
}

// Parks says whether the task may park what it is to try again.
func (t Task) Parks() bool {
	return t.Source.JetStream != nil && t.Consumer.Transaction.RedeliverOver > 0
}

// parkedStream checks that nobody else uses the stream in which transactions wait:
// who consumed it would take them before their time.
func (v *validator) parkedStream(c *Config) {
	for _, u := range c.uses() {
		if u.stream == c.Parking.Stream {
			v.fail(u.at.key("stream"), "stream %q is where transactions wait for their next attempt (parking.stream): take another", u.stream)
		}
	}
}
