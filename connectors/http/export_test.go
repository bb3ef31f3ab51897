package http

// Waiting is how many callers wait for the request with an ID that is under way.
func (s *Source) Waiting(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.keyed[id]; p != nil {
		return p.waiting
	}
	return 0
}

// The parsers that strangers reach.
var (
	ParseIdempotencyKey    = parseIdempotencyKey
	ParseWebhookSignatures = parseWebhookSignatures
	ParseHubSignature      = parseHubSignature
	ParseTimestamp         = parseTimestamp
	Unescape               = unescape
	CleanText              = cleanText
)

// ReadStructured reads an event, and says what became of it.
func ReadStructured(body []byte) (id, source, contentType string, payload []byte, err error) {
	e, err := readStructured(body, false)
	return e.id, e.source, e.contentType, e.payload, err
}
