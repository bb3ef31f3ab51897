package jetstream

import "time"

// StallAfter makes the watch call a stall what lasts for d.
func (c *SourceConfig) StallAfter(d time.Duration) { c.stallAfter = d }
