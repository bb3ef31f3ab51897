package jetstream

import "time"

// StallAfter makes the watch call a stall what lasts for d.
func (c *SourceConfig) StallAfter(d time.Duration) { c.stallAfter = d }

// Looks is how often the watch has found the consumer.
func (s *Source) Looks() int64 { return s.looks.Load() }
