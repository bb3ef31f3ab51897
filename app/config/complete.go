package config

import "github.com/ergon-framework/ergon/policy"

// blankTask is a task that says nothing. The file's dead letters are read by then.
func (l *loader) blankTask() Task {
	return Task{
		Source: Source{Trace: TraceParent}, DeadLetters: l.cfg.DeadLetters,
		Consumer: policy.DefaultConsumer(), Producer: policy.DefaultProducer(),
	}
}

// complete fills in what follows from where something stands.
func (c *Config) complete() {
	for name, stream := range c.Streams {
		stream.Name = name
		c.Streams[name] = stream
	}
	for name, task := range c.Tasks {
		task.Source.complete()
		if s := task.Source.JetStream; s != nil && s.Durable == "" {
			s.Durable = name
		}
	}
}
